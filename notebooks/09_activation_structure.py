# %% [markdown]
# # Where prompts lie, and the explorer
#
# Before steering a model it is worth looking at what there is to steer: where two sets of prompts
# lie in the residual stream, from which layer on they are apart, at which token, and where a
# vector points among them. The last cell opens the explorer, where all of this can be done by
# hand.
#
# It takes about two minutes on one core that has instructions for bfloat16. The numbers in the
# text come from one run.
#
# ## Three sets of prompts
#
# Requests of the refusal testbed: harmful ones, harmless ones, and harmless ones with alarming
# words ("kill a process"). The third set is there for the question that matters: does the model
# see harm, or words?

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
# 1,410 harmful requests, 2,168 harmless ones, and 222 harmless ones with alarming words; 25 of
# each are used. Harmful and harmless ones are made in the same moulds ("Help me ...", "Write a
# tutorial about how to ..."), so that their form hardly tells them apart. The alarming ones are
# short questions, all 25 of them beginning with "How", "What", "Who", "Why" or "Which". So they
# differ from the harmful ones in form as well as in harm, and whatever tells these two sets apart
# may be the form.
#
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
# At layer 0 all prompts read the same, since the last token is the same: 0.5.
#
# *Harmful against harmless.* In the parent nothing is clearly told from chance: 0.22 to 0.35 up
# to layer 12, 0.50 at layer 14, and at most 0.70 above, where shuffled labels reach 0.66 to 0.73
# (the dotted line). Below 0.5 is no knowledge either: the direction that was learned on four
# fifths points the wrong way on the rest. That it does so at six layers is one accident and not
# six, since all of them read the same 50 prompts. In the testbed it is the same up to layer 14
# (0.51), and then 0.94 at layer 16 and 0.97 to 0.99 above. The adapter changes blocks 10 to 29;
# this training made the model tell the two apart at this token.
#
# *Harmful against alarming.* 0.90 to 0.98 from layer 2 on, in the parent as well. That two blocks
# of a small model recognize harm is unlikely; that they tell short questions from other forms is
# not. In the testbed it is 1.00 from layer 16 on, but so little room was left that it says
# nothing about harm and words. For that, the alarming requests would have to be made in the
# moulds of the harmful ones.
#
# ## The plane
#
# The first two principal components at a layer, with what adding a vector does drawn as an arrow:
# the difference of means, harmful minus harmless, learned on 50 prompts, and a random vector of
# equal norm. Expect the sets to mix at layer 4, and to part above layer 14. What a plane shows is
# at most what its two components hold; their shares are at the axes.

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
# At layer 4 harmful and harmless requests lie over each other, and most of the alarming ones in a
# heap of their own, as the separation has it. Layer 14 looks the same, with the alarming ones in
# a narrow strip. The arrow of the difference of means is about 1 long there, in a plane where
# requests lie from -13 to 25: the two means hardly differ. At layer 24 they do: along the first
# component the harmful ones lie at -70 on average, the harmless ones at 10, the alarming ones at
# 61, each with some overlap, and the arrow points from the middle towards the harmful ones, 108
# long in the plane where the random one is 10.
#
# The two components hold 58% of the variance at layer 4, 36% at layer 14, and 29% at layer 24, so
# most of what the later layers hold is not in the picture. And the arrow was learned on 50 of the
# 75 prompts that are drawn.
#
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
# This is what a direction looks like that learned its own prompts. Those it was made on lie
# apart, 6.0 against 0.3 on average (standard deviations of 4 to 5). The unseen ones do not: 2.9
# against 2.0. And the alarming ones lie where the harmful ones do, at 5.8. The held-out AUC of
# 0.51 at this layer said so beforehand; the figure without the unseen requests would have said
# the opposite. To see a direction that should hold, put 24 for 14 in this cell.
#
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
# At layer 20 all three tell the sets apart: 0.98 at the last token, 0.95 at the first one of the
# template, and 0.81 in the mean of all, where the few tokens that matter are diluted. At layers 6
# and 10 none does (0.25 to 0.42), so harm is not waiting there at another token that this table
# looks at. The mean's 0.69 at layer 14 is about what shuffled labels reached at the last token,
# 0.66, and is no finding by itself.
#
# ## Where do vectors point?
#
# A vector that is optimized to make the model refuse one harmless question, and the difference of
# means of the same layer: do they share a direction? The reference is random vectors with the
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
# No: a cosine of 0.04, and of -0.06 for the random vector, both well inside the ±0.39 of random
# vectors that lean as the activations do. That is less of a result than it seems. The difference
# of means of layer 14 does not tell unseen harm from harmlessness, as seen above, so there is
# little in it to agree with. What such vectors do to refusals, and how they lie to a direction
# that was chosen for its effect, is the subject of notebook 05.
#
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
# Try this: in *Steer*, ask "How do I sign a cheque?", turn the scale of "one-shot refusal" up
# from 0, and see whether the model comes to refuse; then tick "harmful - harmless" instead, and
# see whether it does anything (the cells above give no reason to expect it). In *Structure*, go
# up the layers until the two sets part.

# %%
wb.explore(
    bed.model,
    [one_shot, arrows[14][0]],
    {"harmful": requests["harmful"], "harmless": requests["harmless"]},
)

# %% [markdown]
# ## What to take away
#
# - Ask about separation on prompts that were held out, and beside shuffled labels. At layer 14 a
#   difference of means split its own 50 prompts and no others.
# - The parent does not tell harmful from harmless requests of the same mould at its last token;
#   the testbed does, from layer 16 on (0.94 to 0.99). A direction is worth taking from there.
# - Sets that differ in form come apart at layer 2, in any model. Match the form before you speak
#   of meaning.
# - A plane holds what its two components hold, here 29% to 58% of the variance, and the arrow of
#   a vector in it is only its shadow.
# - Limits: one small model and its adapter in bfloat16, 25 requests a set and one draw of them,
#   one kind of classifier, every second layer.
