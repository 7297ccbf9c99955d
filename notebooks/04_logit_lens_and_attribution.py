# %% [markdown]
# # What a vector does inside
#
# A vector is added at one layer, and many layers later the model says something else. What
# happens in between? Five ways of looking: the logit lens, direct attribution, patching, the
# positions the vector acts from, and the vector through the unembedding alone. None of them is
# the truth; each says what it leaves out.
#
# It takes about a minute on one core. The numbers in the text come from one run.

# %%
import workbench as wb
from workbench.analysis import (
    attribute,
    attribute_sources,
    indirect_effects,
    logit_lens,
    match_dictionary,
    position_map,
    reading_heads,
    vector_lens,
)
from workbench.experiments.questions import VALIDATION
from workbench.figures import (
    draw_attribution,
    draw_dictionary,
    draw_head_map,
    draw_indirect_effects,
    draw_lens_change,
    draw_logit_lens,
    draw_position_map,
    draw_token_strip,
    draw_vector_lens,
)

model = wb.load_model("smollm2-135m-instruct")
promoted = "I'm sorry for any confusion, but"
example = wb.Example(wb.chat(model, "How do plants make food?"), promote=[promoted])
run = wb.optimize(
    model, example, layer=10, optimizer="lbfgs", max_norm=25, target_loss=0.3, coldness=1.0
)
steering = wb.Add(run.vector)
control = wb.Add(wb.random_vector(run.vector, seed=0))
run

# %% [markdown]
# The questions below are none that it was made on.

# %%
prompts = [wb.chat(model, question) for question in VALIDATION[:12]]
own = wb.generate(model, prompts, max_new_tokens=4, progress=False)
steered = wb.generate(model, prompts, steering, max_new_tokens=4, progress=False)
list(zip(VALIDATION[:3], own, steered, strict=False))

# %% [markdown]
# Four steps to a loss of 0.19 nats, at the largest norm allowed. Unsteered answers begin "A cat
# named Luna", steered ones "I'm sorry for".
#
# ## The logit lens
#
# Read the stream at every layer through the model's own final norm and unembedding, as if the
# model stopped there. The target is the first promoted token, "I", at every position; the last
# column is where the answer begins. Expect early layers to be noise: this model was not trained
# to be read there. Expect the target to win late, and only steered.

# %%
first = "I'm"
plain_lens = logit_lens(model, prompts[0], target=first)
steered_lens = logit_lens(model, prompts[0], "", steering, target=first)
begin = len(steered_lens.tokens) - 8
draw_logit_lens(steered_lens, first=begin, title="Logit lens, steered")

# %% [markdown]
# What steering changes: the target's log-prob, steered less unsteered. Nothing can change before
# layer 10.

# %%
draw_lens_change(plain_lens, steered_lens, first=begin)

# %%
lenses = {"unsteered": plain_lens, "steered": steered_lens}
lenses["random"] = logit_lens(model, prompts[0], "", control, target=first)
last = {name: lens.to_frame().query("position == position.max()") for name, lens in lenses.items()}
table = last["steered"][["layer"]].reset_index(drop=True)
for name, frame in last.items():
    table[f"rank, {name}"] = frame["rank"].to_numpy()
table.iloc[[0, 5, 10, 11, 15, 20, 22, 24, 26, 28, 29, 30]]

# %% [markdown]
# The target wins in the last row only. Read at layer 29, "I" still stands at rank 122 steered,
# and 1,329 unsteered; one layer later it is first, and third. So this model's stream cannot be
# read by the lens until the very end, and a rank of 1,329 does not mean that the model was far
# from saying it. What steering does is visible all the way, though: from layer 10 on the rank is
# lower than unsteered and than under the random vector (at layer 22: 68, 509, 441).
#
# ## Who writes it? Direct attribution
#
# The logit difference, promoted token minus what the model would have said, is changed by
# steering. That change is a sum: what the vector itself writes, what each head and each MLP now
# writes otherwise, and a part of the final norm. `attribute` takes it apart without a remainder,
# on every question whose own answer begins otherwise. Intervals are over questions.

# %%
kept = [i for i, text in enumerate(own) if not text.startswith("I")]
asked = [prompts[i] for i in kept]
parts = attribute(model, asked, first, [own[i] for i in kept], steering)
print(f"{len(kept)} questions; mean change {parts.change.mean():.1f} logits")
draw_attribution(parts.means())

# %%
means = parts.means()
means.groupby("kind")["mean"].sum().round(2)

# %% [markdown]
# The same for a random vector of equal norm. Expect a small change, made of parts that cancel.

# %%
noise = attribute(model, asked, first, [own[i] for i in kept], control)
print(f"mean change {noise.change.mean():.1f} logits")
noise.means().groupby("kind")["mean"].sum().round(2)

# %% [markdown]
# Heads by layer: few should stand out.

# %%
draw_head_map(means)

# %% [markdown]
# Steering moves the difference by 7.6 logits on 11 questions. The vector's own direct path has
# 0.4 of it; attention heads 5.5, MLPs 2.4, the final norm takes 0.7 back. One head stands out,
# head 5 of layer 27, with 3.2 logits; the interval over questions is narrow. The random vector of
# the same norm moves the difference by 1.4, of which a like 0.3 is the direct path: the vectors
# differ in what the later layers make of them.
#
# ## What is needed? Patching
#
# Attribution says what is written where it is read; it does not say what causes it. So put single
# outputs of the steered run into the unsteered one ("enough"), or the other way round ("needed").
# That is a forward for each head and MLP; two questions and three layers here. Expect single
# parts to do little of it alone: the effect is spread.

# %%
patched = indirect_effects(
    model,
    asked[:2],
    first,
    [own[i] for i in kept[:2]],
    steering,
    layers=[11, 18, 25],
)
draw_indirect_effects(patched, "needed")

# %% [markdown]
# Of the three layers, the MLP right behind the edit matters most: with its unsteered output,
# layer 11's MLP takes 1.7 of the 5.4 logits away, more than it writes by itself (0.4 above). It
# passes the vector on to others. That is the difference between the two questions: who writes,
# and what is needed.
#
# Without any forward: which heads read the direction at all? The norm of the vector through a
# head's query, key and OV maps, against what random vectors have (1 on average).

# %%
heads = reading_heads(model, run.vector)
heads.sort_values("ov", ascending=False).head(5).round(2)

# %%
(heads["ov"] > heads["ov_high"]).mean().round(3)

# %% [markdown]
# Heads of layers 10 and 12 read the direction a little more strongly than random ones (1.3 to 1.4
# times), and over all heads 4% lie beyond the upper 2.5% of random vectors: hardly more than
# chance allows. Head 27.5, which writes most, is fourth with 1.35, just within what random
# vectors reach there (1.36): this list alone would not have singled it out. Norms through the
# weights say nothing about what a head attends to.
#
# ## From where does it act?
#
# The vector is added at every token. Integrated gradients share its effect on the logit
# difference out over them: the sum is the whole effect, up to the error of the quadrature.

# %%
sources = attribute_sources(model, run.vector, asked[0], first, own[kept[0]])
print(f"change {sources.change:.2f} logits, quadrature misses {sources.error:.3f}")
draw_token_strip(
    sources.tokens, list(sources.parts), unit="logits", title="From which tokens the vector acts"
)

# %% [markdown]
# Another question is what one position can do alone, or is needed for: the vector there only, and
# everywhere but there, at its own layer and at a later one.

# %%
where = position_map(model, run.vector, asked[0], promoted, layers=[10, 20])
draw_position_map(where)

# %%
draw_position_map(where, "without")

# %% [markdown]
# The vector acts at the last token of the prompt, the line break behind "assistant", above all;
# the quadrature misses nothing that shows. Alone there it raises the whole sentence's log-prob by
# 1.1 nats, and left out there it costs 1.15, where no other position costs more than 0.15. But
# the position maps add what the first token's attribution cannot show: alone at one of the
# completion's own tokens the vector does nearly as much (up to 1.07), since it helps to say the
# rest of the sentence. At layer 20 the last prompt token is left with 0.83, the completion's
# tokens with at most 0.37, and all others with next to nothing (0.11 at most).
#
# ## The vector alone, through the unembedding
#
# Last the quickest look, and the most tempting: the tokens nearest the vector. It skips all
# layers in between. Expect hints at best, and hold them against what random vectors reach.

# %%
draw_vector_lens(vector_lens(model, run.vector))

# %% [markdown]
# Any matrix of directions will do as a dictionary in this sense, for example the decoder of a
# sparse autoencoder (`load_dictionary`). Here it is the unembedding's columns, by cosine.

# %%
match = match_dictionary(run.vector, model.W_U.T)
draw_dictionary(match)

# %% [markdown]
# Hardly a token goes beyond what random vectors reach (the largest |z| is 5, theirs 5.1 on
# average), and none of the promoted words is among the first ten. The unembedding as a dictionary
# says the same: cosines up to 0.17 where random vectors reach 0.16. By itself this vector says
# nothing; it works through the layers.
#
# ## What to take away
#
# - A one-shot vector of layer 10 does not write its words: it sets off something that later
#   layers write, one head of layer 27 most of all, at the last token of the prompt.
# - Every view has its blind spot: the lens is noise before the last layer, attribution sees the
#   writer and not the cause, patching sees causes one at a time, weights see no attention.
# - Each stood beside a random vector or an interval over questions. A picture of one prompt would
#   have told a cleaner story.
# - Limits: one vector, one behaviour, at most 12 questions, one small model. Patching used two
#   questions and three layers.
