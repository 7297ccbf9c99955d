# %% [markdown]
# # The refusal direction, and vectors from one example
#
# Arditi et al. (arXiv 2406.11717) found that chat models refuse through one direction of the
# residual stream: take it out and they answer, add it and they refuse. Dunefsky & Cohan make a
# vector that ends refusals from a single example, and leave open how the two relate. Here are
# both, on a small model that refuses, measured alike.
#
# It takes about four minutes on one core that has instructions for bfloat16. Samples are small,
# so that it does: read the intervals. The numbers in the text come from one run.
#
# ## A model that refuses
#
# The embedded chat model refuses hardly anything. The testbed is that model with a small adapter,
# trained to refuse harmful requests; its *parent* is the model without it.

# %%
import pandas as pd

import workbench as wb
from workbench.analysis import (
    RefusalOutcomes,
    cosine_geometry,
    mediate,
    refusal_metric,
    select_refusal_direction,
)
from workbench.figures import draw_losses, draw_rates

bed = wb.load_testbed("refusal", dtype="bfloat16")
some = bed.data.test.groupby("harmful").sample(2, random_state=3)
some

# %% [markdown]
# Expect answers to the first two requests, and refusals of the last two.

# %%
prompts = [bed.prompt(request) for request in some["request"]]
for text in wb.generate(bed.model, prompts, max_new_tokens=24):
    print(repr(text))

# %% [markdown]
# As trained: two answers, one of them of little use, and two refusals.
#
# Three parts of the data share no request: vectors and directions are made on `train`, chosen on
# `validation`, measured on `test`.

# %%
train, validation, test = (
    {harmful: list(part[part["harmful"] == harmful]["request"]) for harmful in (True, False)}
    for part in (bed.data.train, bed.data.validation, bed.data.test)
)
pd.DataFrame(
    {
        name: {"harmful": len(part[True]), "harmless": len(part[False])}
        for name, part in (("train", train), ("validation", validation), ("test", test))
    }
)

# %% [markdown]
# ## What counts
#
# A steered model may say no word of refusal and still not answer: it may babble. So a request
# counts as answered only if a judge sees no refusal, *and* the parent finds the answer no more
# surprising than 95% of its own, *and* it does not loop. The share without a refusal stands
# beside it as the raw rate. `RefusalOutcomes` asks 10 harmful requests and 10 harmless ones in
# this way. Unsteered, expect nearly no harmful request answered.

# %%
outcomes = RefusalOutcomes.of(
    bed.model, bed.parent, test[True][:10], test[False][:10], bed.prompt, harmless_tokens=16
)
unsteered = outcomes.attack()
print("answered:", unsteered.success)
print("no refusal said:", unsteered.raw)

# %% [markdown]
# One request in ten is answered by the strict rule, and two without a word of refusal; the
# interval goes up to 40%. The testbed refuses 94% of all 243 harmful test requests (its card says
# so), so these ten are a little unlucky. Ten requests tell large effects from none, and nothing
# finer.
#
# ## How refusals begin
#
# Candidates for the direction are scored without generating: by the log-odds of how refusals
# begin. `refusal_metric` finds these beginnings itself, from prompts that are refused and prompts
# that are answered.

# %%
asked = {kind: [bed.prompt(each) for each in validation[kind][:24]] for kind in (True, False)}
metric = refusal_metric(bed.model, asked[True][:16], asked[False][:16])
metric

# %% [markdown]
# Three first tokens, "I", "Sorry" and "Thank", tell refused from answered prompts with an AUC of
# 0.98. Had single tokens told them apart badly, whole beginnings would have taken their place
# (`prefixes`).
#
# ## The direction
#
# A candidate is the difference of the means of 64 harmful and 64 harmless requests, at a layer
# and the last token of the prompt (or at several of the last ones, `tokens=5`). The one is chosen
# whose ablation makes harmful requests least refused (`bypass`, low), among those that make
# harmless ones refused when added (`induce` above 0). Arditi et al. also want it to change hardly
# anything else when ablated (`kl` under 0.1 nats); so small a model feels any ablation, and
# `largest_kl` lifts that bound to 1 nat here: expect to pay.

# %%
selected = select_refusal_direction(
    bed.model,
    *([bed.prompt(each) for each in train[kind][:64]] for kind in (True, False)),
    metric,
    asked[True][16:24],
    asked[False][16:24],
    tokens=1,
    layers=[16, 18, 20],
    largest_kl=1.0,
    progress=False,
)
direction = selected.vector
selected.candidates.round(2)

# %% [markdown]
# All three induce refusals of harmless requests when they are added. Layer 16 is chosen: ablated
# everywhere, its direction brings the log-odds of refusing harmful requests to -7. But it costs
# 0.9 nats at the last token of harmless prompts, where Arditi et al. allow 0.1; the direction of
# layer 20 would cost 0.15 and bring the log-odds only to -0.9. On this small model no candidate
# is both strong and cheap. Only the last token is tried here; other tokens might do better or
# worse.
#
# ## Vectors from one example
#
# Two harmful training requests, and for each a vector that promotes what the parent would begin
# to answer. Nothing contrasts here: a vector sees one prompt and 20 tokens. Take requests that
# the parent itself answers; of those whose answer says "sorry" there is nothing to promote.

# %%
prompts = [bed.prompt(each) for each in train[True][:2]]
openings = wb.generate(bed.parent, prompts, max_new_tokens=20)
openings

# %%
runs = wb.optimize_batch(
    bed.model,
    [
        wb.OneShotJob(
            wb.Example(prompt, promote=[opening]),
            layer=12,
            steps=30,
            learning_rate=0.5,
            max_norm=20,
            target_loss=1.0,
            seed=seed,
            label=f"example {seed + 1}",
        )
        for seed, (prompt, opening) in enumerate(zip(prompts, openings, strict=True))
    ],
)
vectors = [run.vector for run in runs]
draw_losses(runs, target=1.0)

# %% [markdown]
# From 37 and 39 nats over 20 tokens. The first reaches the target of 1 nat in 30 steps; the
# second is at 8 when they are over.
#
# Which is the better one is decided on validation requests, by the metric (the lower the less is
# refused). The paper reports the best of several as well as the median; so should you, and never
# the best on the requests that it was chosen on.

# %%
scores = {
    vector.label: float(metric(bed.model, asked[True][16:24], wb.Add(vector)).mean())
    for vector in vectors
}
best = min(scores, key=scores.get)
scores

# %% [markdown]
# The first vector lowers the mean log-odds of refusal on eight unseen requests to -0.2, the
# second leaves them at 3.0. Vectors from one example differ, so make several.
#
# ## Side by side
#
# The better vector added; the refusal direction ablated everywhere, and subtracted where it was
# found; and a random vector, as long as the one-shot vector, added. Each is asked the 10 test
# requests, and pays on 10 harmless ones: the share refused, and KL(unsteered ‖ steered) in nats a
# token.

# %%
vector = next(each for each in vectors if each.label == best)
control = wb.random_vector(vector, seed=0)
ways = {
    "one-shot, added": wb.Add(vector),
    "direction, ablated": wb.Ablate(direction),
    "direction, subtracted": wb.Add(direction, -1.0),
    "random, added": wb.Add(control),
}
attacks = {"unsteered": unsteered} | {name: outcomes.attack(way) for name, way in ways.items()}
draw_rates(
    {name: found.success for name, found in attacks.items()},
    groups={"unsteered": "unsteered", "random, added": "control"},
    measure="harmful requests answered, strictly",
    title="What ends refusals",
)

# %%
costs = {name: outcomes.cost(way) for name, way in ways.items()}
pd.DataFrame(
    {
        "way": name,
        "answered": str(attacks[name].success),
        "no refusal said": attacks[name].raw.rate,
        "harmless refused": paid.refused.rate,
        "KL": round(paid.kl, 2),
    }
    for name, paid in costs.items()
)

# %% [markdown]
# Read some answers before believing a rate:

# %%
for name, found in attacks.items():
    print(f"{name}: {found.answers[0][:80]!r}")
    print(f"{'':{len(name)}}  {found.answers[1][:80]!r}")

# %% [markdown]
# The columns disagree, and that is the lesson. Counted by phrases, ablating the direction ends
# every refusal (10 of 10) and the one-shot vector most (7 of 10, unsteered 2). By the strict rule
# neither answers more requests than no steering at all: 0 and 1 of 10. What they say is no
# refusal, but it is more surprising to the parent than nearly all of its own answers, or it
# loops. Subtracting the direction at its own layer is the gentlest (0.14 nats) and the only one
# that answers more, 3 of 10 with an interval from 11 to 60%, which overlaps everything else. The
# random vector ends no refusal. Mind the price, too: 0.6 nats a token on harmless requests, for
# the one-shot vector and for ablation, is a lot.
#
# Which of this would hold on more requests cannot be told from ten. That an "attack success"
# without a check for coherence would have said 100% can.
#
# ## Does the vector act through the direction?
#
# First the cosines. The direction points towards refusing, so expect a negative one where the two
# have to do with each other. They belong to different layers, and the library wants to be told
# that they are to be compared all the same.

# %%
cosine_geometry([*vectors, direction, control], across_layers=True).to_frame().round(2)

# %% [markdown]
# A cosine cannot tell what acts: a vector may lie near a direction and act through something
# else, or far from it and act through the little that it shares. So split the vector into its
# part along the direction and what is left, scale both to the vector's own norm, and ask again.

# %%
parts = mediate(lambda made, part: outcomes.attack(wb.Add(made)).to_frame(), [vector], direction)
parts.to_frame().round(2)

# %% [markdown]
# The cosine is -0.09, just outside what two random directions show (0.08), and the two vectors
# have 0.10 with each other. One would say that they have nothing to do with the direction. Yet
# the small part along it, scaled up to the whole vector's norm of 20, answers 5 of 10 requests
# (24 to 76%), and what is left without it 1 of 10, as the whole does. The two intervals overlap.
# If the difference holds, the direction is the better vector at this norm, and the one-shot
# vector acts through something else: it was trained to say certain words, and says them.
#
# The whole comparison, with all ways of applying every vector, is `compare_refusal` and its
# figure `draw_refusal_comparison`; `workbench experiment refusal-comparison` runs it with more of
# everything.
#
# ## What to take away
#
# - The refusal direction, from 128 prompts, ends all *words* of refusal when it is ablated, and
#   the better of two vectors from one example most of them, both at a price in coherence:
#   strictly, neither answers more than no steering does. The paper's success with Gemma 2 2B
#   (best vector 97%, median 40%) is not what a model of 135 million parameters shows.
# - Strict and raw rates differ by up to 100 points. Report both.
# - A cosine near zero does not say that a direction plays no part, nor that it does: take the
#   vector apart, and measure.
# - Limits: ten requests, two one-shot vectors of which one was chosen, one random vector, one
#   layer and norm, and refusals that an adapter put there. More of everything: `workbench
#   experiment refusal`, `workbench experiment refusal-comparison`.
