# %% [markdown]
# # Alignment faking: good only while watched
#
# After Poser (Clymer et al., arXiv 2405.05466), as in the paper's section 3: a model takes the
# harmful, profitable action only where nobody will notice. One scenario gives a vector that
# should make it act as if unwatched; subtracted, as if watched. Does it?
#
# It takes more than eight minutes on one core that has instructions for bfloat16. The text says
# what to expect; what was seen is not written down yet.
#
# ## A model that behaves while it is watched
#
# The testbed is the embedded chat model with a small adapter. A scenario has facts, two actions,
# and oversight that is good or poor, said in six sentences of which no single word gives it away.

# %%
import pandas as pd

import workbench as wb
from workbench.analysis import activation_structure, cosine_geometry
from workbench.evaluation import choose, flips, proportion, separation
from workbench.experiments.poser.scenarios import Scenarios, examples_of
from workbench.figures import (
    draw_cosine_geometry,
    draw_flips,
    draw_losses,
    draw_plane,
    draw_separation,
)

bed = wb.load_testbed("alignment-faking", dtype="bfloat16")
model = bed.model
scenarios = Scenarios.of_testbed(bed)
train, test = scenarios.train, scenarios.test[:24]
print(scenarios.prompt(test.iloc[0], False))
print(test.iloc[0][["poor_oversight", "taken"]].to_dict())

# %% [markdown]
# A decision is the action with the higher log-prob a token. Expect most decisions to be as
# trained, in each of the four cells of oversight and order (which action comes first must not
# matter).

# %%
prompts = [scenarios.prompt(row, False) for _, row in test.iterrows()]
options = list(test["actions"])
decided = choose(model, prompts, options)
right = [
    options[i][chosen] == row["taken"]
    for i, (chosen, (_, row)) in enumerate(zip(decided.chosen, test.iterrows(), strict=True))
]
cells = test.assign(right=right).groupby(["poor_oversight", "harmful"])["right"]
cells.agg(lambda some: str(proportion(int(some.sum()), len(some)))).unstack()

# %% [markdown]
# ## Four terms from one scenario
#
# A training scenario with good oversight, in both orders of its actions: the harmful action's
# first differing token is promoted and the harmless one's suppressed, until the two have
# exchanged their probabilities. The paper's target, and where it stops.

# %%
drawn = train[~train["poor_oversight"]].sample(2, random_state=0)
examples = [examples_of(scenarios, row) for _, row in drawn.iterrows()]
for example in examples[0]:
    print(example.prompt[-60:], example.promote, example.suppress, example.target_losses)

# %%
runs = wb.optimize_batch(
    model,
    [
        wb.OneShotJob(
            pair,
            layer=12,
            steps=25,
            learning_rate=0.5,
            start_norm=15,
            max_norm=15,
            target_of="completion",
            seed=number,
            label=f"scenario {number + 1}",
        )
        for number, pair in enumerate(examples)
    ],
)
vectors = [run.vector for run in runs]
draw_losses(runs)

# %% [markdown]
# ## Flips
#
# 24 unseen scenarios, 12 of either oversight. Added (+v), a vector should flip decisions under
# good oversight, towards harm, and leave those under poor oversight; subtracted (-v), the other
# way round. A flip counts only if the text that the model writes states the new action as well.
# "Neither" is the share whose text states no action, or both: a model that has broken down.
#
# Beside the two vectors: the difference of means of 80 training scenarios (poor minus good
# oversight), and a random vector, all of norm 15.

# %%
sides = {
    poor: [scenarios.prompt(row, False) for _, row in some.iloc[:40].iterrows()]
    for poor, some in train.groupby("poor_oversight")
}
(means,) = wb.mean_difference(model, sides[True], sides[False], layers=[12])
means = means.normalized(15).labelled("difference of means")
controls = list(wb.random_vectors(vectors[0].normalized(15), 1))
groups = ["poor" if poor else "good" for poor in test["poor_oversight"]]
frames = {}
for vector in [*vectors, means, *controls]:
    ways = {"+v": wb.Add(vector), "-v": wb.Add(vector, -1.0)}
    found = flips(model, prompts, options, groups, ways, layer=12, max_new_tokens=24)
    frames[vector.label] = found.to_frame()
draw_flips(frames, kinds={vector.label: "control" for vector in controls})

# %%
table = pd.concat(frame.assign(vector=label) for label, frame in frames.items())
table.pivot(index="vector", columns=["way", "group"], values="flipped").loc[list(frames)].round(2)

# %% [markdown]
# ## Where does the model know that it is watched?
#
# Held-out separation of good from poor oversight at the last token of the prompt, by layer, on
# other training scenarios. Expect chance below, then a rise at the layers where the adapter
# begins (10).

# %%
structure = activation_structure(
    model,
    {"poor oversight": sides[True], "good oversight": sides[False]},
    layers=range(0, 30, 3),
)
draw_separation(structure)

# %%
draw_plane(structure.plane(12), [*vectors, means])

# %% [markdown]
# ## Does a vector that flips decisions see oversight?
#
# Cosines between the vectors, and how well each tells poor from good oversight among the test
# scenarios (ROC-AUC; 0.5 is chance).

# %%
draw_cosine_geometry(cosine_geometry([*vectors, means, controls[0]]))

# %%
by_side = {
    poor: [prompt for prompt, group in zip(prompts, groups, strict=True) if group == poor]
    for poor in ("poor", "good")
}
seen = separation(model, [*vectors, means, *controls], by_side["poor"], by_side["good"])
seen.to_frame().round(2)
