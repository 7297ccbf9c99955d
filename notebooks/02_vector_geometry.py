# %% [markdown]
# # How steering vectors lie
#
# One example gives one vector. Another seed, another question, another layer give others. Do they
# point the same way? If not, do they still do the same? This notebook makes a dozen vectors and
# holds every answer against chance: random vectors in 576 dimensions are nearly orthogonal, but
# not quite.
#
# It takes about a minute and a quarter on one core. The numbers in the text come from one run; on
# another machine the last digits differ.

# %%
from dataclasses import replace

import numpy as np

import workbench as wb
from workbench.analysis import (
    connectivity,
    cosine_geometry,
    effect_geometry,
    principal_angles,
    random_band,
    spectrum,
)
from workbench.evaluation import begins_as, relative_norms
from workbench.experiments.questions import VALIDATION
from workbench.figures import (
    draw_cosine_geometry,
    draw_effects,
    draw_losses,
    draw_norms,
    draw_paths,
    draw_rates,
    draw_spectrum,
)
from workbench.methods.moments import moments

model = wb.load_model("smollm2-135m-instruct")

# %% [markdown]
# ## A dozen vectors
#
# Nine vectors promote the way this model refuses, "I'm sorry for any confusion, but", from three
# questions and three random starts each. Three more promote something else, "Ahoy, matey!", from
# the first question. All act at layer 10 and may be 25 long at most. `optimize_batch` makes them
# together.

# %%
questions = {
    "plants": "How do plants make food?",
    "rain": "What causes rain?",
    "Romeo": "Who wrote Romeo and Juliet?",
}
refusal, pirate = "I'm sorry for any confusion, but", "Ahoy, matey!"
behaviours = [("refuse", name, refusal) for name in questions] + [("pirate", "plants", pirate)]
jobs = [
    wb.OneShotJob(
        wb.Example(wb.chat(model, questions[name]), promote=[text]),
        layer=10,
        optimizer="lbfgs",
        start="random",
        steps=12,
        max_norm=25,
        target_loss=0.3,
        coldness=1.0,
        seed=seed,
        label=f"{behaviour}, {name}, seed {seed}",
    )
    for behaviour, name, text in behaviours
    for seed in (0, 1, 2)
]
runs = wb.optimize_batch(model, jobs)
vectors = [run.vector for run in runs]
refusing, pirates = vectors[:9], vectors[9:]

# %% [markdown]
# Expect every loss to fall from over 10 nats to the target of 0.3 within a few steps.

# %%
draw_losses(runs[::3], target=0.3)

# %% [markdown]
# They start at 9 to 13 nats, the pirate's at 23, and are under 0.3 after five to seven steps. One
# seed of each question is drawn; the others lie on top of it, and the next cells show why.
#
# ## Do they work?
#
# Geometry is worth looking at only for vectors that do something. Eight questions that none was
# made on are asked under each vector, with greedy decoding; an answer counts if it begins with
# all of the promoted words. One call asks everything: `Add` takes a vector for each prompt.
# Expect most refusing vectors to work on most questions, and a random vector of equal norm on
# none.

# %%
prompts = [wb.chat(model, question) for question in VALIDATION[:8]]
controls = list(wb.random_vectors(vectors[0].normalized(25), 3))
everyone = [*vectors, *controls]
texts = wb.generate(
    model,
    prompts * len(everyone),
    wb.Add([vector for vector in everyone for _ in prompts]),
    max_new_tokens=11,
)
n = len(prompts)
rates = {
    vector.label: begins_as(some, [pirate if vector in pirates else refusal]).proportion
    for vector, some in zip(everyone, np.reshape(texts, (-1, n)).tolist(), strict=True)
}
draw_rates(rates, groups={vector.label: "control" for vector in controls})

# %% [markdown]
# Every one of the twelve vectors makes 7 of 8 unseen questions begin as promoted; three random
# vectors of norm 25 make none. With eight questions the intervals are wide: 7 of 8 is anything
# from 53% to 98%.
#
# ## Cosines
#
# Two random directions in 576 dimensions have a cosine within ±0.08 in 95 of 100 cases. Expect
# seeds of one question to agree far more than that, and behaviours to be told apart. The vectors
# are ordered so that like ones are neighbours.

# %%
geometry = cosine_geometry(vectors, order="clustered")
draw_cosine_geometry(geometry)

# %% [markdown]
# The same in numbers: pairs of one question, pairs of one behaviour from different questions, and
# pairs of different behaviours.

# %%
pairs = geometry.to_frame()
a, b = (pairs[side].str.split(", ", expand=True) for side in "ab")
pairs["kind"] = "behaviours differ"
pairs.loc[a[0] == b[0], "kind"] = "questions differ"
pairs.loc[(a[0] == b[0]) & (a[1] == b[1]), "kind"] = "seeds differ"
pairs.groupby("kind")["cosine"].describe()[["count", "mean", "min", "max"]].round(2)

# %%
geometry.random

# %% [markdown]
# Seeds agree entirely here (1.00): the optimizer found the same vector three times. Questions of
# one behaviour agree far beyond chance (0.73 on average, 0.66 to 0.85), and the tree puts them
# together. Two behaviours share less (0.19; 0.07 to 0.29), but mostly still more than the ±0.08
# of random directions. What they share may be no behaviour at all: both make an answer begin in
# an unusual way.
#
# ## A stricter chance
#
# Uniform random directions are a weak opponent: activations vary far more along some directions
# than along others, and anything that was made by a model may lean that way. So draw the random
# vectors with the covariance of real activations. `moments` gathers it, at the last token of 75
# questions. Expect a wider band.

# %%
some = [wb.chat(model, question) for question in VALIDATION]
read = moments(model, some, layers=[10], covariance=True)
random_band(model.cfg.d_model, covariance=read.covariance_at(10))

# %% [markdown]
# Much wider: ±0.62. Beside random vectors that lean as activations do, the 0.19 between
# behaviours is nothing, and the 0.73 between questions is still something. (75 prompts span 74 of
# 576 dimensions, so this band is on the wide side; the truth lies between the two.) Which of the
# two is the right opponent depends on the claim: "not a random direction", or "more than what any
# vector shares that lives where activations live".
#
# ## A farther start
#
# All of these began from a random vector of norm 1, next to nothing beside a result of norm 25,
# and L-BFGS takes large first steps: the gradient at zero decides, not the seed. So start far
# away: three random vectors of norm 20, for the first question again. Expect them to stop nearer
# to where they began, at the same loss.

# %%
far_runs = wb.optimize_batch(
    model,
    [
        replace(jobs[0], start_norm=20, seed=seed, label=f"refuse, plants far, seed {seed}")
        for seed in (0, 1, 2)
    ],
    progress=False,
)
far = [run.vector for run in far_runs]
draw_cosine_geometry(cosine_geometry([*vectors[::3], *far, controls[0]]))

# %%
texts = wb.generate(
    model,
    prompts * len(far),
    wb.Add([vector for vector in far for _ in prompts]),
    max_new_tokens=11,
    progress=False,
)
for run, some in zip(far_runs, np.reshape(texts, (-1, n)).tolist(), strict=True):
    rate = begins_as(some, [refusal]).proportion
    print(f"{run.label}: loss {run.loss:.2f} nats, {rate}")

# %% [markdown]
# Now the seeds differ: cosines of 0.39 to 0.49 with each other, and 0.60 to 0.75 with the vector
# that began near zero. All reach the loss (0.16 to 0.22 nats), and make 6 or 7 of 8 unseen
# questions begin as promoted. So there is no one vector for this behaviour but a region of them,
# and which one is found depends on where the search starts. Say the start norm when you report
# cosines between seeds.
#
# ## How many directions?
#
# If the nine refusing vectors were one direction and noise, one principal component would hold
# nearly all of their (unit) length. If they were unrelated, each of nine would hold a ninth.

# %%
draw_spectrum(spectrum(refusing))

# %% [markdown]
# Three components hold all of it, 82%, 12% and 5%: one for each question, since seeds agree. The
# effective rank is 1.8; nine random vectors have 8.9.
#
# The spans of the two behaviours, by their principal angles: the smallest angle between any
# combination of refusing vectors and any of pirate ones. Random spans of nine and three
# dimensions give the reference.

# %%
principal_angles(refusing, pirates)

# %% [markdown]
# The largest cosine between the two spans is 0.55, far from 1: no combination of refusing vectors
# is a pirate vector. The mean squared cosine is 0.21, and that of random spans 0.016.
#
# ## How long?
#
# A norm means nothing by itself. Beside the stream it is added to, it does. Expect all alike,
# since `max_norm` bound most of them.

# %%
draw_norms(relative_norms(model, vectors[::3], prompts))

# %% [markdown]
# About a sixth of the stream's norm (15 to 17%). Most tokens' streams are turned only a little.
#
# ## Different directions, the same effect?
#
# Add each vector, and compare what it changes at later layers: the cosine of two changes, at the
# last token of each question. At layer 10 this is the cosine of the vectors themselves. Expect it
# to grow with depth for vectors of one behaviour: the later layers read them alike.

# %%
effects = effect_geometry(model, [*refusing[::3], *far, *pirates[:1], *controls[:1]], prompts)
draw_effects(effects)

# %%
frame = effects.to_frame()
first, second = frame["a"].str.split(",").str[0], frame["b"].str.split(",").str[0]
frame["kind"] = "two behaviours"
frame.loc[first == second, "kind"] = "refuse"
frame.loc[frame["a"].str.contains("far") & frame["b"].str.contains("far"), "kind"] = "refuse, far"
frame.loc[second.str.startswith("random"), "kind"] = "a random vector"
by_place = frame.groupby(["place", "kind"])["cosine"].mean().unstack()
by_place.loc[["10", "15", "20", "25", "out", "logits"]].round(2)

# %% [markdown]
# At layer 10 the three far vectors have a mean cosine of 0.45; by the output of the last layer
# their effects have one of 0.82, the same as vectors of different questions (0.83). Different
# directions, much the same effect. But look at the control before celebrating: the effect of a
# *random* vector has a cosine of 0.04 with the others' at layer 10 and of 0.46 at the end, and
# vectors of different behaviours go from 0.17 to 0.41. Part of the growth is what any push does
# to this model; what is left over (0.8 against 0.4) is the behaviour.
#
# ## Is there a hill between them?
#
# Walk from one vector to another in a straight line (rescaled to the first one's norm) and ask
# for the loss of the first one's example on the way. If it never rises over the worse end, the
# pair is called connected (Dunefsky & Cohan, v1, section 4.3). That is lenient: a path that only
# rises is connected as well, so look at the lines.

# %%
walked = [runs[0], far_runs[0], runs[3], runs[9]]
paths = connectivity(
    model,
    [run.vector for run in walked],
    [run.job.examples for run in walked],
    points=9,
)
draw_paths(paths)

# %%
paths.to_frame().round(2)

# %% [markdown]
# Between vectors of one behaviour the loss stays below 0.4 nats all the way: the region is
# connected, also between vectors whose cosine is 0.75 or 0.84. Towards the pirate vector it
# climbs without a hill to 11 to 25 nats, and counts as "connected" too. The criterion only asks
# for no barrier above the worse end; the height of that end says the rest.
#
# ## Layers
#
# Vectors of different layers live in different bases, and the library refuses to compare them
# unless told to. `sweep_layers` makes one a layer from the first question.

# %%
by_layer = wb.sweep_layers(
    model,
    jobs[0].examples,
    layers=[6, 10, 14, 18, 22],
    optimizer="lbfgs",
    start="random",
    steps=12,
    max_norm=25,
    target_loss=0.3,
    coldness=1.0,
    progress=False,
)
draw_cosine_geometry(cosine_geometry([run.vector for run in by_layer.runs], across_layers=True))

# %% [markdown]
# Neighbours are alike (0.38 between layers 6 and 10, 0.51 between 18 and 22), and the likeness
# fades with distance (0.06 between 6 and 22, which is chance). The residual stream carries much
# on from layer to layer, so bases agree nearly enough for neighbours, and not for the ends.
#
# ## What to take away
#
# - One example gives a vector that works on others; several give different vectors that work
#   alike.
# - Seeds may give the same vector or different ones, depending on the start and the optimizer.
#   Neither says that there is, or is not, *one* direction.
# - Cosines need a null: ±0.08 for uniform directions, ±0.6 for directions with the activations'
#   covariance. Effects need one too: any two pushes look more alike the later one looks.
# - Limits: one small model, one layer, two behaviours, eight questions, and greedy answers that
#   are judged by how they begin.
