# %% [markdown]
# # Methods compared
#
# A one-shot vector needs one example; a difference of means needs a hundred prompts; a probe, a
# principal component, a gradient step, an affine edit all have their own idea of a direction.
# Which is best? The question has an answer only for one task, one budget, and one measure; here
# is how to ask it fairly:
#
# - every method gets the same layers and chooses its strength on *validation* items;
# - none may cost more than a budget of KL on harmless text;
# - it is then measured on *test* items, at its best scale and at the scale that costs exactly the
#   budget;
# - beside it stand random vectors of the same norm that act in the same way at the same place.
#
# It has five methods, one layer and small samples, and was not timed; expect several minutes.
# `workbench compare refusal` runs all methods with more. The text says what to expect; what was
# seen is not written down yet.
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

bed = wb.load_testbed("refusal", dtype="bfloat16")
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
    chosen_on=6,
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
# ## What they needed
#
# The change alone is not the price. Labelled texts, candidates to choose from, and seconds for
# one vector:

# %%
best = found.table[found.table["at"] == "best scale"]
best[["method", "data", "candidates", "seconds", "within", "accuracy", "surprisal"]].round(2)

# %% [markdown]
# ## What was tried
#
# The choice on validation, to see how much it decides: margin and cost at each strength.

# %%
found.tried.pivot_table(index="method", columns="strength", values="margin", aggfunc="max").round(2)

# %%
found.tried.pivot_table(index="method", columns="strength", values="kl", aggfunc="max").round(2)
