"""From one example to a vector under 0.5 nats: wall time, and what the vector is then good for.

One promoted completion at layer 10, one vector. The published procedure has its own optimizer,
Adam; the engine has Adam and L-BFGS. A vector found quickly is worth as much as it carries over:
the share of unseen questions whose greedy answer, under the vector, begins as promoted. Shares are
given at the norms that the optimizers end with, where all losses are just under the target, and
with the longer of each pair of vectors scaled down to the norm of the shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

import workbench as wb
from benchmarks.published import published
from benchmarks.rows import Row, spread
from benchmarks.setting import (
    COLDNESS,
    LEARNING_RATE,
    PROMOTED,
    Setting,
    completions_of,
    timed,
)
from workbench.evaluation import begins_as
from workbench.evaluation.proportion import proportion
from workbench.experiments.questions import TRAINING, VALIDATION

NAME = "time-to-target"
LAYER, TARGET, MOST_STEPS = 10, 0.5, 200
# Questions, each with the seed of Adam's start; L-BFGS finds its start itself.
TRIALS = [(question, seed) for seed, question in enumerate((*TRAINING[:2], *VALIDATION[:4]))]
ASKED = VALIDATION[16:40]  # no vector is made on one of these
SPEED = {"float32": 5.0, "bfloat16": 10.0}
CLAIMED = "lbfgs"  # the optimizer that the bounds are for
BASELINE, FASTEST = ("published", "float32"), (CLAIMED, "float32")
Contestant = tuple[str, str]  # optimizer, dtype


@dataclass(frozen=True)
class Trial:
    """One way from an example to a vector, and how many unseen answers then began as promoted."""

    seconds: float
    steps: int
    evaluations: int
    reached: bool
    vector: Float[Tensor, " d_model"]
    carried: int
    asked: int


def measure(setting: Setting) -> list[Row]:
    """Times, ratios and shares carried of every optimizer and dtype."""
    contestants = [BASELINE, *((o, d) for d in setting.models for o in ("adam", "lbfgs"))]
    trials = TRIALS[:1] if setting.quick else TRIALS
    results: dict[Contestant, list[Trial]] = {each: [] for each in contestants}
    turns = [(trial, each) for trial in trials for each in contestants]
    _warm_up(setting)
    for (question, seed), contestant in tqdm(turns, desc=NAME, unit="vector"):
        results[contestant].append(_trial(setting, contestant, question, seed))
    baseline = results.pop(BASELINE)
    rows = _baseline_rows(baseline)
    for contestant, found in results.items():
        rows += _rows(contestant, found, baseline)
    return rows + _equal_norm_rows(setting, results[FASTEST], baseline)


def _warm_up(setting: Setting) -> None:
    """One step of each: what a first call does once is not timed."""
    for model in setting.models.values():
        wb.optimize_batch(model, setting.jobs(LAYER, 1, 1), progress=False)
    published(setting.hf_model, setting.completions, LAYER, setting.start(0), 1)


def _trial(setting: Setting, contestant: Contestant, question: str, seed: int) -> Trial:
    """Time the way to the target, then ask the unseen questions."""
    optimizer, dtype = contestant
    model = setting.models[dtype]
    example = wb.Example(wb.chat(model, question), promote=[PROMOTED])
    start = setting.start(seed)
    if contestant == BASELINE:
        completions = completions_of(model, example)
        task = (setting.hf_model, completions, LAYER, start, MOST_STEPS, LEARNING_RATE, COLDNESS)
        seconds, run = timed(lambda: published(*task, TARGET))
        steps, reached, values = len(run.losses) - run.reached, run.reached, run.vector
        evaluations = len(run.losses)
    else:
        options: dict[str, Any] = {"learning_rate": LEARNING_RATE, "start": start}
        if optimizer != "adam":
            options = {"optimizer": optimizer}
        options |= {"steps": MOST_STEPS, "coldness": COLDNESS, "target_loss": TARGET}
        seconds, run = timed(lambda: wb.optimize(model, example, LAYER, progress=False, **options))
        steps, reached, values = len(run.losses), run.loss <= TARGET, run.vector.values
        evaluations = run.evaluations
    carried, asked = _carried(setting, values)
    return Trial(seconds, steps, evaluations, reached, values, carried, asked)


def _carried(setting: Setting, values: Float[Tensor, " d_model"]) -> tuple[int, int]:
    """How many questions are answered as promoted, of how many; by the float32 model for all."""
    model, questions = setting.model, ASKED[:8] if setting.quick else ASKED
    prompts = [wb.chat(model, question) for question in questions]
    steering = wb.Add(wb.SteeringVector(values, LAYER))
    length = len(model.tokenizer(PROMOTED)["input_ids"]) + 2
    texts = wb.generate(model, prompts, steering, max_new_tokens=length, progress=False)
    return begins_as(texts, [PROMOTED]).proportion.successes, len(questions)


def _equal_norm_rows(setting: Setting, ours: list[Trial], theirs: list[Trial]) -> list[Row]:
    """Shares with the longer vector of each pair scaled down to the norm of the shorter."""
    cases = {f"{CLAIMED}, float32": [], "published procedure (Adam), float32": []}
    norms = []
    for pair in zip(ours, theirs, strict=True):
        norms.append(min(float(trial.vector.norm()) for trial in pair))
        for trial, counts in zip(pair, cases.values(), strict=True):
            counts.append(_carried(setting, trial.vector * norms[-1] / trial.vector.norm()))
    rows = []
    for name, counts in cases.items():
        carried, asked = (sum(each) for each in zip(*counts, strict=True))
        how = f"{proportion(carried, asked)}; norms {', '.join(f'{norm:.0f}' for norm in norms)}"
        rows.append(Row(NAME, f"carried at equal norm: {name}", carried / asked, "%", how=how))
    return rows


def _baseline_rows(trials: list[Trial]) -> list[Row]:
    seconds = [trial.seconds for trial in trials]
    how = f"{_way(trials)}; {spread(seconds, 1)}"
    case = "published procedure (Adam), float32"
    return [
        Row(NAME, case, median(seconds), "s", how=how, data={"trials": _data(trials)}),
        Row(NAME, f"unseen questions carried: {case}", _share(trials), "%", how=_count(trials)),
    ]


def _rows(contestant: Contestant, trials: list[Trial], baseline: list[Trial]) -> list[Row]:
    optimizer, dtype = contestant
    case = f"{optimizer}, {dtype}"
    ratios = [b.seconds / t.seconds for b, t in zip(baseline, trials, strict=True)]
    # A way that does not get there has no speed.
    ratio = median(ratios) if all(trial.reached for trial in trials) else 0.0
    speed, share = (SPEED[dtype], _share(baseline)) if optimizer == CLAIMED else (None, None)
    how = (
        f"the speed of the published procedure; {median(t.seconds for t in trials):.1f} s; "
        f"{_way(trials)}; {spread(ratios)}"
    )
    data = {"trials": _data(trials)}
    carried = f"unseen questions carried: {case}"
    return [
        Row(NAME, case, ratio, "x", speed, how=how, data=data),
        Row(NAME, carried, _share(trials), "%", share, how=_count(trials)),
    ]


def _share(trials: list[Trial]) -> float:
    return sum(trial.carried for trial in trials) / sum(trial.asked for trial in trials)


def _count(trials: list[Trial]) -> str:
    carried, asked = sum(t.carried for t in trials), sum(t.asked for t in trials)
    return f"greedy answers that begin as promoted: {proportion(carried, asked)}"


def _way(trials: list[Trial]) -> str:
    """Steps taken, and whether the target was reached."""
    missed = sum(not trial.reached for trial in trials)
    steps = "/".join(str(trial.steps) for trial in trials)
    looks = "/".join(str(trial.evaluations) for trial in trials)
    norms = "/".join(f"{trial.vector.norm():.0f}" for trial in trials)
    return f"{steps} steps, {looks} evaluations, norm {norms}" + (
        f"; {missed} of {len(trials)} not reached" if missed else ""
    )


def _data(trials: list[Trial]) -> list[dict[str, Any]]:
    return [{**vars(trial), "vector": trial.vector.tolist()} for trial in trials]
