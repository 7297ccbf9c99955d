# %% [markdown]
# # Which layer, and how much?
#
# A vector has a layer and a scale, and both decide what it does and what it costs. This notebook
# makes the same vector at every sixth layer, measures each on questions it was not made on, turns
# the dose up and down, and then compares layers as one should: at equal cost.
#
# It takes about five and a half minutes on one core, less on two. The numbers in the text come
# from one run.

# %%
import numpy as np
import pandas as pd

import workbench as wb
from workbench.analysis import layer_sweep, log_prob_outcome
from workbench.evaluation import Reference, begins_as, calibrate, cost, surprisal
from workbench.experiments.questions import UNSEEN, VALIDATION
from workbench.figures import (
    draw_distributions,
    draw_dose,
    draw_layer_strip,
    draw_layer_sweep,
)

model = wb.load_model("smollm2-135m-instruct", dtype="bfloat16")
promoted = "I'm sorry for any confusion, but"
example = wb.Example(wb.chat(model, "How do plants make food?"), promote=[promoted])

# %% [markdown]
# ## One vector a layer
#
# `sweep_layers` runs the model once and trains all layers' vectors from what it recorded: five
# layers, two seeds. Expect the loss to reach its target of 0.3 nats nearly everywhere but at the
# last layers, where little of the model is left to be steered.

# %%
sweep = wb.sweep_layers(
    model,
    example,
    layers=range(1, 30, 6),
    seeds=(0, 1),
    optimizer="lbfgs",
    start="random",
    start_norm=20,
    steps=12,
    max_norm=25,
    target_loss=0.3,
    coldness=1.0,
)
sweep.to_frame().round(2)

# %% [markdown]
# Up to layer 19 the loss comes to 0.2 to 0.5 nats, in five to twelve steps; at layer 25 it stays
# at 4.7 to 4.8, and both seeds say "flat": nothing lower lies along the gradient within norm 25.
# So the model can be made to say this sentence from layers 1 to 19; where it stops between 19 and
# 25 is not seen on so coarse a grid.
#
# ## What each does, and what it costs
#
# Low loss on its own example says nothing about other questions. The outcome here is the log-prob
# a token of the promoted words after 8 other questions. The cost is KL(unsteered ‖ steered), in
# nats a token, on the model's own unsteered answers to the same questions: how far steering moves
# what it would have said anyway.

# %%
prompts = [wb.chat(model, question) for question in VALIDATION[:8]]
own = wb.generate(model, prompts, max_new_tokens=16, progress=False)
reference = Reference.of(model, prompts, own)
outcome = log_prob_outcome(model, prompts, [promoted] * len(prompts))
found = layer_sweep(model, [run.vector for run in sweep.runs], outcome, reference, progress=False)
unsteered = float(wb.log_prob(model, prompts, [promoted] * len(prompts)).mean.mean())
draw_layer_sweep(found, unsteered=unsteered)

# %%
found.by_layer().round(2)

# %% [markdown]
# The control: random vectors of the same norms at the same layers, one each. They cost too; what
# they do to the outcome is what any push does.

# %%
randoms = [wb.random_vector(run.vector, seed=100) for run in sweep.runs[::2]]
layer_sweep(model, randoms, outcome, reference, progress=False).by_layer().round(2)

# %% [markdown]
# Unsteered, the promoted words have -1.46 nats a token. Layers 7 and 13 bring them to -0.18,
# layers 1 and 19 to -0.27 and -0.40, layer 25 to -0.84. The intervals are over 2 vectors and 8
# questions. Those of layers 1 to 19 overlap, and that of layer 25 (-1.22 to -0.58) overlaps only
# layer 19's. Cost does not follow effect: layer 1 costs 1.6 nats a token, layer 13 0.85, layer 7
# 0.51, layer 19 0.23 and layer 25 0.03.
#
# Random vectors raise hardly anything: -1.4 to -1.5 from layer 13 on, -1.7 at layer 7, and at
# layer 1 -2.6, at a cost of 1.1 nats, more than any vector of the other layers. A push at an
# early layer costs much, whatever it is.
#
# ## What is said
#
# Log-probs are cheap and smooth, but nobody reads them. So let the model answer 12 questions that
# took no part so far, greedily, and count the answers that begin with all of the promoted words.

# %%
unseen = [wb.chat(model, question) for question in UNSEEN[:12]]
seeds = [run for run in sweep.runs if run.job.seed == 0]
texts = wb.generate(
    model,
    unseen * len(seeds),
    wb.Add([run.vector for run in seeds for _ in unseen]),
    max_new_tokens=10,
    progress=False,
)
n = len(unseen)
said = [begins_as(some, [promoted]).proportion for some in np.reshape(texts, (-1, n)).tolist()]
strip = pd.concat(
    rate.to_frame().assign(layer=run.vector.layer, loss=run.loss)
    for rate, run in zip(said, seeds, strict=True)
)
draw_layer_strip(strip)

# %% [markdown]
# 12 of 12 at layer 13, 11 at layer 7, 9 at layers 1 and 19, 1 at layer 25. The order agrees with
# the log-probs. But a log-prob of -0.84 a token, much above -1.46, is 1 answer of 12: a rate
# needs all of the words.
#
# ## The dose
#
# One vector, of layer 7, at ten scales on both sides of zero, against random vectors of the same
# norm at the same scales. Expect nothing at small scales, a steep rise, and then the break-down:
# at large scales the model says the promoted words and nothing sensible after them, or not even
# these.

# %%
vector = sweep.at(7)[0].vector
controls = list(wb.random_vectors(vector, 2))
scales = [-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0]

asked = unseen * len(scales)
rates = {}
for each in [vector, *controls]:
    scaled = [each * scale for scale in scales for _ in unseen]
    tokens = 30 if each is vector else 10
    texts = wb.generate(model, asked, wb.Add(scaled), max_new_tokens=tokens, progress=False)
    by_scale = dict(zip(scales, np.reshape(texts, (-1, n)).tolist(), strict=True))
    rates[each.label] = {
        scale: begins_as(some, [promoted]).proportion for scale, some in by_scale.items()
    }
    if each is vector:
        dose = by_scale
draw_dose(
    scales,
    list(rates[vector.label].values()),
    controls={
        "random": {scale: [rates[each.label][scale] for each in controls] for scale in scales}
    },
)

# %%
for scale in (0.0, 0.5, 1.0, 2.0, 3.0):
    print(f"{scale:4}: {dose[scale][1]!r}")

# %% [markdown]
# A window, not a slope: 1 of 12 at a quarter of the scale, 4 at half, 6 at three quarters, 11 at
# scale 1, and at 1.5 only 1 again. Negated, and random at any scale, it does nothing. Look at the
# answers: at half the scale this one is fluent; at scale 2 it begins with "I'm sorry for a bit of
# a hour", and at 3 it is no language.
#
# A vector that was optimized to its target at scale 1 works at scale 1. "More is stronger" does
# not hold for it.
#
# What the answers cost in readability: their surprisal under the unsteered model, every answer
# counted, whatever it begins with.

# %%
draw_distributions(
    {f"scale {scale:g}": list(surprisal(model, unseen, dose[scale]).per_token) for scale in scales},
    measure="nats a token",
    title="Surprisal of the answers under the unsteered model, by scale",
)

# %% [markdown]
# And in KL on the unsteered answers. Expect it to grow about as the square of the scale at first.

# %%
costs = {scale: cost(model, reference, wb.Add(vector, scale)).mean_kl for scale in scales}
pd.Series(costs, name="KL, nats a token").round(3)

# %% [markdown]
# The median surprisal is 0.6 nats a token unsteered and 0.9 at scale 1; at 1.5 it is 2.1, at 2
# and 3 it is 2.8 and 3.5. KL grows as the square at first, 0.02, 0.10, 0.25 and 0.51 at a
# quarter, a half, three quarters and the whole, and goes on to 1.5, 2.8 and 5.0. Both see the
# break-down, and the best dose lies just before it.
#
# ## Layers at equal cost
#
# A norm of 25 is much at layer 1 and little at layer 29, so layers compared at one norm are
# compared at different doses. `calibrate` finds the scale at which a vector costs a given KL,
# here 0.2 nats a token; then ask again. Layers 7, 13 and 19, the first seed of each. At full
# scale they cost 0.5, 0.9 and 0.2, and cost grows about as the square of the scale, so expect
# scales of about 0.6 to 0.7, 0.5 and 0.9. For layer 7 that is 4 to 6 of 12 answers, by the doses
# above. For the other two it is not known beforehand, and neither is the order.

# %%
seeds = seeds[1:4]
equal = [calibrate(model, run.vector, 0.2, reference) for run in seeds]
texts = wb.generate(
    model,
    unseen * len(seeds),
    wb.Add([run.vector * at.scale for run, at in zip(seeds, equal, strict=True) for _ in unseen]),
    max_new_tokens=10,
    progress=False,
)
pd.DataFrame(
    {
        "layer": run.vector.layer,
        "scale": round(at.scale, 2),
        "norm": round(at.scale * run.vector.norm, 1),
        "KL": round(at.kl, 3),
        "begin as promoted": str(begins_as(some, [promoted]).proportion),
    }
    for run, at, some in zip(seeds, equal, np.reshape(texts, (-1, n)).tolist(), strict=True)
)

# %% [markdown]
# At the same cost, layer 13 makes 10 of 12 answers begin as promoted, layers 7 and 19 6 each; at
# full scale it was 12, 11 and 9, at costs of 0.9, 0.5 and 0.2. The scales are 0.55, 0.69 and
# 0.93, as expected. So layer 13, dearest at full scale, gives most for its cost. But it is one
# vector a layer and 12 questions: the intervals (55 to 95% and 25 to 75%) overlap.
#
# ## The same as a study
#
# A grid of this kind can be declared once, as data, and kept in a folder: then it survives a
# restarted kernel, can be made longer later, and can be taken to other machines (`workbench study
# run FILE` reads the same from TOML). Three layers and two seeds, measured on four other
# questions under each vector, and unsteered.

# %%
import tempfile
from pathlib import Path

from workbench.runs import Study, StudyFolder, run_study
from workbench.runs.tables import jobs_frame, summary_frame

study = Study(
    name="which-layer",
    model={"name": "smollm2-135m-instruct", "dtype": "bfloat16"},
    methods={
        "one-shot": {
            "optimizer": "lbfgs",
            "start": "random",
            "start_norm": 20,
            "steps": 12,
            "max_norm": 25,
            "target_loss": 0.3,
            "coldness": 1.0,
        }
    },
    examples={"plants": {"prompt": "How do plants make food?", "promote": [promoted]}},
    layers=[7, 13, 19],
    seeds=[0, 1],
    measures={"other questions": {"measure": "log-prob", "prompts": VALIDATION[:4]}},
)
folder = Path(tempfile.mkdtemp()) / study.name  # a folder of your own, to keep it
print(run_study(study, folder, progress=False).sentence())

# %% [markdown]
# Run again, it finds every job finished, and does not even load the model. Expect the same
# sentence at once, and no vector that was written anew.

# %%
before = {path: path.stat().st_mtime for path in folder.glob("vectors/*")}
print(run_study(study, folder, progress=False).sentence())
len(before), all(path.stat().st_mtime == at for path, at in before.items())

# %% [markdown]
# Six vectors, none written anew. What is in the folder, as frames: a row a job, and means over
# seeds and questions beside what the unsteered model does. (With the extra `studies`, `tables/`
# has the same as Parquet files.)

# %%
records = StudyFolder.at(folder).records().values()
jobs_frame(records)[["layer", "seed", "state", "loss", "norm", "steps", "stopped"]].round(2)

# %%
summary_frame(records).round(2).drop(columns=["method", "example", "name"])

# %% [markdown]
# The losses are those of the sweep above, to two digits: the same jobs, in a folder. On four
# questions layers 7, 13 and 19 bring the promoted words from -1.57 nats a token to -0.21, -0.27
# and -0.63.
#
# ## What to take away
#
# - Train at several layers, and choose by other questions and by cost, not by the training loss:
#   layers 1 to 19 had nearly the same loss and costs from 0.2 to 1.6 nats.
# - Measure the dose on both sides. This one-shot vector has a window.
# - Every figure wants its random vectors, and every comparison of layers its common cost.
# - Limits: one question, one behaviour, two seeds, 8 to 12 questions, one small model in
#   bfloat16.
