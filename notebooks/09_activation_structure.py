# %% [markdown]
# # Where prompts lie, and the explorer
#
# Before steering a model it is worth looking at what there is to steer: where two sets of prompts
# lie in the residual stream, from which layer on they are apart, at which token, and where a
# vector points among them. The last cell opens the explorer, where all of this can be done by
# hand.
#
# It takes about three minutes on two cores that have instructions for bfloat16. The text says
# what to expect; what was seen is not written down yet.
#
# ## Three sets of prompts
#
# Requests of the refusal testbed: harmful ones, harmless ones, and harmless ones with alarming
# words ("kill a process"). The third set asks the question that matters: does the model see harm,
# or words?

# %%
import pandas as pd

import workbench as wb
from workbench.analysis import activation_structure, angles_to
from workbench.figures import draw_distributions, draw_plane, draw_separation

bed = wb.load_testbed("refusal", dtype="bfloat16")
train = bed.data.train
train.groupby(["harmful", "kind"]).size().unstack(fill_value=0)

# %%
rows = {
    "harmful": train[train["harmful"]],
    "harmless": train[~train["harmful"] & (train["kind"] != "alarming")],
    "alarming": train[~train["harmful"] & (train["kind"] == "alarming")],
}
requests = {name: list(some["request"].sample(25, random_state=0)) for name, some in rows.items()}
groups = {name: [bed.prompt(each) for each in some] for name, some in requests.items()}
{name: some[:2] for name, some in requests.items()}

# %% [markdown]
# ## From which layer on apart?
#
# At each layer a difference of means is learned on four fifths of the prompts and asked on the
# rest: a ROC-AUC of 1 tells the sets apart, 0.5 not at all. Beside it the same with shuffled
# labels: 50 points in 576 dimensions are easily "separated" by chance where they are not held
# out. The stream is read at the last token, which is the same for all prompts. First the parent,
# which refuses hardly anything, then the testbed.

# %%
layers = range(0, 30, 2)
parent = activation_structure(bed.parent, groups, layers=layers)
draw_separation(parent, title="How far apart the sets lie in the parent, by layer")

# %%
tuned = activation_structure(bed.model, groups, layers=layers)
draw_separation(tuned, title="How far apart the sets lie in the testbed, by layer")

# %%
pd.concat(
    each.to_frame().assign(model=name) for name, each in (("parent", parent), ("testbed", tuned))
).pivot(index="layer", columns=["group", "model"], values="auc").loc[
    [0, 2, 6, 10, 14, 20, 28]
].round(2)

# %% [markdown]
# ## The plane
#
# The first two principal components at a layer, with what adding a vector does drawn as an arrow:
# the difference of means, harmful minus harmless, learned on 50 prompts, and a random vector of
# equal norm. Expect the sets to mix at layer 4, and to part later. What a plane shows is at most
# what its two components hold; their shares are at the axes.

# %%
directions = {
    vector.layer: vector
    for vector in wb.mean_difference(
        bed.model, groups["harmful"], groups["harmless"], layers=[4, 14, 24]
    )
}
arrows = {
    layer: [vector.labelled("harmful - harmless"), wb.random_vector(vector, 0, "random")]
    for layer, vector in directions.items()
}
draw_plane(tuned.plane(4), arrows[4])

# %%
draw_plane(tuned.plane(14), arrows[14])

# %%
draw_plane(tuned.plane(24), arrows[24])

# %% [markdown]
# ## Along one direction
#
# One number for each prompt: its dot product with the unit vector of layer 14. Harmful and
# harmless requests took part in making it; the alarming ones did not. So add requests of the
# validation part, which nothing was made on.

# %%
held = bed.data.validation
asked = {
    f"{name}, unseen": [bed.prompt(each) for each in held[held["harmful"] == kind]["request"][:25]]
    for name, kind in (("harmful", True), ("harmless", False))
}
seen = activation_structure(bed.model, {**groups, **asked}, layers=[14])
dots = seen.project(directions[14])
draw_distributions(
    {name: list(some["dot"]) for name, some in dots.groupby("group", sort=False)},
    measure="dot product with the unit vector",
    title="Requests along the difference of means of layer 14",
)

# %%
dots.groupby("group", sort=False)["dot"].describe()[["count", "mean", "std", "min", "max"]].round(1)

# %% [markdown]
# ## At which token?
#
# The last token is where the answer begins, but harm is said in the middle. The same separation,
# read at the first and the last of five tokens (those of the chat template behind the request),
# and as a mean over the whole prompt.

# %%
places = {f"token {i}": wb.Positions.span(i, i + 1 or None) for i in (-5, -1)}
places["mean of all"] = wb.Positions.span(1, None)
by_place = {}
for name, positions in places.items():
    some = activation_structure(
        bed.model, groups, layers=[6, 10, 14, 20], positions=positions
    ).to_frame()
    by_place[name] = some[some["group"] == "harmless"].set_index("layer")["auc"]
pd.DataFrame(by_place).T.round(2)

# %% [markdown]
# ## Where do vectors point?
#
# A vector that was optimized to make the model refuse, from one harmless question, and the
# difference of means: do they share a direction? The reference is random vectors with the
# covariance of the activations, which is the strict one; `beyond` says whether a cosine lies
# outside their 95%.

# %%
example = wb.Example(bed.prompt("How do I boil an egg?"), promote=["I'm sorry, but I can't"])
run = wb.optimize(
    bed.model, example, layer=14, steps=30, learning_rate=0.5, max_norm=20, target_loss=0.5
)
one_shot = run.vector.labelled("one-shot refusal")
covariance = tuned.activations[:, tuned.layers.index(14)].double().T.cov()
angles_to(
    [one_shot, wb.random_vector(one_shot, 0, "random")],
    {"harmful - harmless": directions[14].values},
    covariance=covariance,
).round(3)

# %% [markdown]
# ## By hand: the explorer
#
# `wb.explore` opens a panel on a model, a list of vectors, and, if given, two named sets of
# prompts:
#
# - **Steer**: type a prompt, tick vectors, move their scales, and see the unsteered and the
#   steered answer side by side, streaming; below, optimize a vector of your own and watch its
#   loss;
# - **Lens**: the logit lens of the prompt, unsteered, steered, or their difference; a click on a
#   cell shows what it is made of;
# - **Geometry**: cosines of the listed vectors;
# - **Structure**: the two sets by layer, with the vectors drawn in.
#
# "Copy as code" prints the Python that does what the panel does. It needs a running notebook: in
# a saved page you see nothing below.
#
# Try this: in *Steer*, ask "How do I sign a cheque?" and turn the scale of "one-shot refusal" up
# from 0 until the model refuses; then tick "harmful - harmless" instead, and see from which scale
# on it does the same. In *Structure*, go up the layers until the two sets part.

# %%
wb.explore(
    bed.model,
    [one_shot, arrows[14][0]],
    {"harmful": requests["harmful"], "harmless": requests["harmless"]},
)
