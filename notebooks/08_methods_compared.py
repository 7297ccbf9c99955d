# %% [markdown]
# # Methods compared
#
# A one-shot vector needs one example; a difference of means needs some dozens of prompts; a probe,
# a principal component, a gradient step, an affine edit all have their own idea of a direction.
# Which is best? The question has an answer only for one task, one budget, and one measure; here
# is how to ask it fairly:
#
# - every method gets the same layers and chooses its strength on *validation* items;
# - none may cost more than a budget of KL on harmless text, where it has a strength that keeps it;
# - it is then measured on *test* items, at its best scale and at the scale that costs exactly the
#   budget on the validation part's harmless text;
# - beside it stand random vectors of the same norm that act in the same way at the same place.
#
# It has five methods, one layer and small samples, and takes about five minutes on one
# core; `workbench compare refusal` runs all methods with more. The numbers in the text come from
# one run.
#
# ## The task
#
# Answer what the refusal testbed refuses. An item is a harmful request, what the parent begins to
# answer, and what the testbed begins to refuse with. The measure is the *margin*: the log-prob a
# token of the answer less that of the refusal, in nats.

# %%
import workbench as wb
from workbench.experiments.compare import METHODS, CompareSettings, compare, refusal_task
from workbench.figures import draw_comparison

bed = wb.load_testbed("refusal")
task = refusal_task(bed, most=20)
{part: len(getattr(task, part)) for part in ("train", "validation", "test")}

# %%
task.test[0].shows, task.test[0].lacks

# %% [markdown]
# ## The methods
#
# All that are known here; the longer ones (BiPO, KL-then-steer, ensembles) are left out of this
# notebook for time.

# %%
list(METHODS)

# %%
chosen = [
    "one-shot",
    "difference of means",
    "linear probe",
    "affine (ACE)",
    "ablation",
]
settings = CompareSettings(
    layers=[12],
    budget=0.2,
    random=4,
    chosen_on=16,
    measured_on=12,
    harmless=6,
    answer_tokens=12,
    questions=4,
)
found = compare(task, settings, {name: METHODS[name] for name in chosen}, progress=False)

# %% [markdown]
# ## What they do
#
# Expect most methods to raise the margin by more than 95% of their random vectors do. The first
# panel shows the change; the columns after it what it costs.

# %%
draw_comparison(found.table, found.random, about=found.about, budget=settings.budget)

# %%
columns = ["method", "at", "change", "low", "high", "random_95", "shows", "kl", "strength", "norm"]
found.table[columns].round(2)

# %% [markdown]
# All five raise the margin by more than their random vectors do (four vectors: their 95th
# percentile is near their largest, 0.02 to 0.15): ablation by 1.4 nats a token, the probe by 0.9,
# the one-shot vector by 0.6, the difference of means by 0.5, and affine editing by 0.3, whose
# interval holds 0. `shows` is the share of items whose answer became likelier
# than the refusal: 7 of 12 under ablation, 3 under the probe, none unsteered.
#
# But ablation costs 2.7 nats a token and affine editing 1.0, at a budget of 0.2: neither has a
# strength within it, so they are shown where they are nearest to it. Of what keeps the budget, the
# probe and the one-shot vector are best at equal cost, 1.0 (0.7 to 1.3) and 0.9 (0.6 to 1.2),
# before the difference of means, 0.6 (0.2 to 0.9); all three intervals overlap. Equal is the cost
# on the validation part's harmless text; on the test part's, in the table, it is 0.20 to 0.28.
#
# ## What they needed
#
# The change alone is not the price. Labelled texts, candidates to choose from, and seconds for
# one vector:

# %%
best = found.table[found.table["at"] == "best scale"]
best[["method", "data", "candidates", "seconds", "within", "accuracy", "surprisal"]].round(2)

# %% [markdown]
# One example, the best of three, against forty prompts; seconds for a vector of any kind. The
# surprisal of the answers to harmless prompts says what the costs mean: 0.3 to 0.8 nats a token
# within the budget, 2.3 under affine editing and 3.5 under ablation (in notebook 3, answers at 2.8
# were no sentences any more). Everything answers all of four questions rightly, which is too few
# to tell anything.
#
# ## What was tried
#
# The choice on validation, to see how much it decides: margin and cost at each strength, which is
# a share of the stream's norm (of affine editing and ablation, their own). Three one-shot vectors
# were tried, each from another example.

# %%
tried = found.tried.pivot(index=["method", "number"], columns="strength")
tried["margin"].round(2).astype(object).fillna("")

# %%
tried["kl"].round(2).astype(object).fillna("")

# %% [markdown]
# The choice decides much. The first two one-shot vectors and the third are different things: at a
# strength of 0.1 the first two have margins of -0.4, the third -1.0. And the grid is coarse: there
# the two cost 0.24 and 0.25 nats, just over the budget, so 0.05 was chosen, at a cost of 0.07. At
# equal cost, with 0.09, the one-shot vector gains half as much again.
#
# With 6 validation items in the place of 16, this notebook once chose the *third* vector,
# which looked as good on those six and kept the budget at 0.1. On the test items it did nothing
# at all (-0.1), and the page would have said that one example is not enough.
#
# ## What to take away
#
# - Give every method the same budget of cost. Without one, ablation wins; with it, it may not play.
# - Choose on some items, measure on others, and take enough of both: on six items the choice was
#   wrong, and the verdict on the method with it.
# - At equal cost, a vector from one example does on this task what a direction from forty prompts
#   does, if one may choose among three examples.
# - Limits: one layer, 16 items to choose on and 12 to measure on, four random vectors, one seed.
