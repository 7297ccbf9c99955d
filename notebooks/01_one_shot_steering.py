# %% [markdown]
# # One-shot steering
#
# From a prompt to a vector to steered text. Everything runs on the embedded chat model,
# SmolLM2-135M-Instruct, on a CPU, in about half a minute. The numbers in the text come from one
# run.

# %%
import workbench as wb
from workbench.figures import draw_losses, draw_vector_lens

model = wb.load_model("smollm2-135m-instruct")

# %% [markdown]
# ## An example
#
# An example is a prompt and the completions to promote (or to suppress) after it. The prompt is
# exactly the text that the model reads: `chat` puts a question into the model's own chat format.

# %%
prompt = wb.chat(model, "How do plants make food?")
example = wb.Example(prompt, promote=["I'm sorry for any confusion, but"])
print(prompt)

# %% [markdown]
# ## A vector
#
# Gradient descent on this one example. Expect the loss, the promoted words' negative
# log-probability in nats, to fall from about 13 to well under 1. `max_norm` keeps the vector
# short, so that the rest of what the model says stays readable.

# %%
run = wb.optimize(model, [example], layer=10, steps=50, max_norm=25, coldness=1.0)
run

# %%
draw_losses(run)

# %% [markdown]
# From 13.0 nats to 0.05, most of it in the first fifteen steps: the model now says these words
# with a probability of 95%. `run.vector` is the iterate of the lowest loss; `run.step` says which
# one that was, here the last. The vector carries its provenance, and goes with it into its file.

# %%
run.vector.provenance.config

# %% [markdown]
# ## Steered text
#
# The vector was optimized on one question. Here are others, unsteered and steered, greedy: expect
# most steered answers to begin with the promoted words, and to go on more or less sensibly.

# %%
questions = ["How do I boil an egg?", "Why is the sky blue?", "Suggest a name for a pet cat."]
prompts = [wb.chat(model, question) for question in questions]
plain = wb.generate(model, prompts, max_new_tokens=30, progress=False)
steered = wb.generate(model, prompts, wb.Add(run.vector), max_new_tokens=30, progress=False)
for question, a, b in zip(questions, plain, steered, strict=True):
    print(f"{question}\n  unsteered: {a}\n  steered:   {b}\n")

# %% [markdown]
# All three begin with the promoted words, and each goes on with an apology that fits, or nearly
# fits, its question: recipes, names for pets, but the sky gets a translation. Three questions
# prove little; `make demo` asks 24, and notebook 03 counts.
#
# ## A control
#
# A random vector of the same norm must not do this. Expect ordinary answers.

# %%
control = wb.random_vector(run.vector, seed=0)
for text in wb.generate(model, prompts, wb.Add(control), max_new_tokens=20, progress=False):
    print(text)

# %% [markdown]
# Three ordinary answers, to the questions that were asked. It is the direction, not the push.
#
# ## What the vector says by itself
#
# Through the unembedding, without the layers in between: the tokens that the vector's direct path
# promotes and suppresses, against what random vectors of the same norm reach (the grey band).
# Later layers do most of the work, so do not expect the sentence itself.

# %%
from workbench.analysis import vector_lens

draw_vector_lens(vector_lens(model, run.vector))

# %% [markdown]
# Not even a hint of it: pieces of words, as far out as those of random vectors (one stands at the
# band's edge). What this vector does, it does through the layers above it; notebook 04 takes that
# apart.
#
# ## Any TransformerLens call
#
# Inside `steer` every call is steered, here a cache of the residual stream. `steer` leaves
# nothing behind.

# %%
with wb.steer(model, wb.Add(run.vector)):
    _, cache = model.run_with_cache(prompts[0], prepend_bos=False, names_filter="blocks.10.hook_in")
_, clean = model.run_with_cache(prompts[0], prepend_bos=False, names_filter="blocks.10.hook_in")
(cache["blocks.10.hook_in"] - clean["blocks.10.hook_in"])[0, -1].norm(), run.vector.norm

# %% [markdown]
# The stream at layer 10 differs from the unsteered one by a vector of norm 25.0, which is the
# vector's own: that, and nothing else, is what steering did.
