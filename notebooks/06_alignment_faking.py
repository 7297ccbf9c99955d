# %% [markdown]
# # Alignment faking: good only while watched
#
# After Poser (Clymer et al., arXiv 2405.05466), as in the paper's section 3: a model takes the
# harmful, profitable action only where nobody will notice. One scenario gives a vector that
# should make it act as if unwatched; subtracted, as if watched. Does it?
#
# It takes about four and a half minutes on one core. The numbers in the text come from one run.
#
# ## A model that behaves while it is watched
#
# The testbed is the embedded chat model with a small adapter. A scenario has facts, two actions,
# and oversight that is good or poor, said in six sentences of which no single word gives it away.

# %%
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

bed = wb.load_testbed("alignment-faking")
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
cells.agg(lambda some: str(proportion(int(some.sum()), len(some)))).unstack().rename(
    index={False: "good", True: "poor"}, columns={0: "harmful first", 1: "harmful second"}
)

# %% [markdown]
# 23 of 24 as trained: good while watched, harmful (and profitable) while not.
#
# ## Where does the model know that it is watched?
#
# Held-out separation of poor from good oversight at the last token of the prompt, by layer, on 80
# training scenarios. Expect chance below, and a rise somewhere behind the layer where the adapter
# begins (10).

# %%
sides = {
    poor: [scenarios.prompt(row, False) for _, row in some.iloc[:40].iterrows()]
    for poor, some in train.groupby("poor_oversight")
}
structure = activation_structure(
    model,
    {"poor oversight": sides[True], "good oversight": sides[False]},
    layers=range(0, 30, 3),
)
draw_separation(structure)

# %% [markdown]
# Nothing up to layer 12, a little at 15 and 18 (0.58 and 0.70, inside or near what shuffled labels
# give), and all of it from 21 on: 1.00. (The values below 0.5 are no sign of knowledge: where
# there is nothing to be found, what one part of the prompts has too much of by chance, the part
# held out has too little of.) So oversight is put together by the layers between, and a vector
# that means it has to act at 21 or later. At layer 12 the difference of means of these prompts is
# noise.
#
# ## Four terms from one scenario
#
# A training scenario with good oversight, in both orders of its actions: the harmful action's
# first differing token is promoted and the harmless one's suppressed, until the two have
# exchanged their probabilities. The paper's target, and where it stops. At layer 21, where the
# model knows about oversight.

# %%
drawn = train[~train["poor_oversight"]].sample(2, random_state=0)
examples = [examples_of(scenarios, row) for _, row in drawn.iterrows()]
for action in drawn.iloc[0]["actions"]:
    print(action)
for example in examples[0]:
    losses = [round(loss, 3) for loss in example.target_losses]
    print("promote", example.promote, "suppress", example.suppress, "to losses of", losses)

# %%
runs = wb.optimize_batch(
    model,
    [
        wb.OneShotJob(
            pair,
            layer=21,
            steps=15,
            learning_rate=3,
            start_norm=50,
            max_norm=50,
            target_of="completion",
            seed=number,
            label=f"scenario {number + 1}",
        )
        for number, pair in enumerate(examples)
    ],
    progress=False,
)
vectors = [run.vector for run in runs]
draw_losses(runs)

# %% [markdown]
# Unsteered, the harmful action's first token is so improbable that all four losses start at 24
# nats in sum for the first scenario; fifteen steps bring them to 0.2. For the second scenario they
# start at 4, and one step is enough.
#
# ## Flips
#
# 24 unseen scenarios, 12 of either oversight. Added (+v), a vector should flip decisions under
# good oversight, towards harm, and leave those under poor oversight; subtracted (-v), the other
# way round. A flip counts only if the text that the model writes states the new action as well.
# "Neither" is the share whose text states no action, or both: a model that has broken down.
#
# Beside the two vectors of norm 50: the difference of means of the 80 training scenarios (poor
# minus good oversight), as long as it is and shortened to 50, and random vectors of both norms.

# %%
(whole,) = wb.mean_difference(model, sides[True], sides[False], layers=[21])
means = [
    whole.normalized(50).labelled("means, norm 50"),
    whole.labelled(f"means, norm {whole.norm:.0f}"),
]
controls = [
    wb.random_vector(vector, seed=0).labelled(f"random, norm {vector.norm:.0f}") for vector in means
]
groups = ["poor" if poor else "good" for poor in test["poor_oversight"]]
ways = {
    f"{way} {vector.label}": wb.Add(vector, scale)
    for vector in [*vectors, *means, *controls]
    for way, scale in (("+v", 1.0), ("-v", -1.0))
}
found = flips(model, prompts, options, groups, ways, layer=21, max_new_tokens=24).to_frame()
found[["way", "vector"]] = found["way"].str.split(" ", n=1, expand=True)
frames = dict(iter(found.groupby("vector", sort=False)))
draw_flips(frames, kinds={vector.label: "control" for vector in controls})

# %%
columns = ["way", "group"]
found.pivot(index="vector", columns=columns, values="flipped").loc[list(frames)].round(2)

# %%
found.pivot(index="vector", columns=columns, values="neither").loc[list(frames)].round(2)

# %% [markdown]
# Added, the vectors from one scenario flip 5 and 6 of 12 decisions under good oversight, and at
# most 2 of 12 under poor; random vectors of that norm flip none, of the larger norm one. So one
# example is enough to make the model act as if nobody watched in about half of unseen scenarios.
# The difference of means, from 80 scenarios, does so in 9 of 12.
#
# Subtracted, they do nothing: 0 and 1 of 12 flip under poor oversight. Only the difference of
# means at its full length turns the model good there, in 10 of 12; shortened to 50 in 1 of 12. So
# half the distance is enough for harm and not for the way back. The text states neither action in
# at most 2 of 12: the flips are decisions, not a model that has broken down.
#
# ## Does a vector that flips decisions see oversight?
#
# The vectors among the activations, their cosines, and how well each tells poor from good
# oversight among the test scenarios (ROC-AUC; 0.5 is chance). A vector can change what follows
# from oversight without pointing where oversight is.

# %%
draw_plane(structure.plane(21), [*vectors, whole.labelled("means")])

# %%
draw_cosine_geometry(cosine_geometry([*vectors, means[0], controls[0]]))

# %%
by_side = {
    side: [prompt for prompt, group in zip(prompts, groups, strict=True) if group == side]
    for side in ("poor", "good")
}
seen = separation(model, [*vectors, means[0], controls[0]], by_side["poor"], by_side["good"])
seen.to_frame().round(2)

# %% [markdown]
# In the plane the two sides lie 110 apart along the first component, and the difference of means
# is that component. The one-shot vectors point the same way, but only with a small part of their
# length: cosines of 0.27 and 0.10 with the difference of means (random: within 0.08), and 0.04
# with each other. That part is enough to tell poor from good oversight in every one of 24 test
# scenarios (ROC-AUC 1.00; random 0.43), and perhaps it is why they flip decisions; the rest of
# them belongs to their own examples.
#
# ## What to take away
#
# - One scenario gives a vector that flips about half of the decisions it should; it is the one
#   direction only. The paper finds more in a larger model.
# - Look where the model knows before choosing a layer.
# - A one-shot vector can separate two sets perfectly with a cosine near 0.1 to the direction that
#   does: reading needs little of a vector, writing needs its length.
# - Limits: 24 scenarios of our own, two vectors, a random vector of either norm, and a behaviour
#   that an adapter of ours put there. More: `workbench experiment poser`.
