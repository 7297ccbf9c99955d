"""What the paper left open on one-shot vectors, asked of any of its behaviours.

A program: vectors from several training items, from several random starts each (is it the example
or the seed?); from 1, 2, 4, 8 items at once; by Adam and by L-BFGS; and which figures of a vector
that need no labels tell whether it does elsewhere what it was made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation import Interval, two_level
from workbench.experiments.full.predictors import predictors, rank_correlations
from workbench.experiments.full.settings import FullSettings, FullTask
from workbench.methods import OneShotJob, optimize_batch
from workbench.methods.one_shot import finished
from workbench.runs import RunFolder
from workbench.steering import VectorSet

NAMES = ("loss", "norm", "steps", "sharpness", "cosine", "kl")
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "L-BFGS, same start": {"optimizer": "lbfgs", "start": "random"},
    "L-BFGS, steepest start": {"optimizer": "lbfgs", "start": "steepest", "start_norm": None},
}


@dataclass(frozen=True)
class FullResult:
    """Outcomes by vector and prompt.

    Columns of `seeds`: item, seed, vector, prompt, wanted. Of `curve`: size, vector, prompt,
    wanted. Of `optimizers`: optimizer, vector, prompt, wanted; of `effort`: optimizer, vector,
    loss (nats), evaluations, stopped. `predictors`: see `predictors`, with item and wanted (the
    share).
    """

    settings: FullSettings
    seeds: pd.DataFrame
    curve: pd.DataFrame
    optimizers: pd.DataFrame
    effort: pd.DataFrame
    predictors: pd.DataFrame

    def variance(self) -> dict[str, float]:
        """How vectors' shares vary: by the training item, and by the seed (standard deviations).

        `share_of_item` is the item's share of the variance. A one-way analysis of variance; what it
        finds negative is zero.
        """
        table = self.seeds.groupby(["item", "seed"])["wanted"].mean().unstack("seed")
        seeds = table.shape[1]
        within = float(table.var(axis=1, ddof=1).mean())
        between = max(0.0, float(table.mean(axis=1).var(ddof=1)) - within / seeds)
        total = within + between
        return {
            "sd by item": between**0.5,
            "sd by seed": within**0.5,
            "share of item": between / total if total else float("nan"),
        }

    def by_size(self) -> dict[int, Interval]:
        """The mean over vectors and prompts for each number of training items."""
        sizes = sorted(set(self.curve["size"]))
        return {size: interval_of(self.curve[self.curve["size"] == size]) for size in sizes}

    def by_optimizer(self) -> dict[str, Interval]:
        """The same for each optimizer."""
        table = self.optimizers
        return {name: interval_of(table[table["optimizer"] == name]) for name in OPTIMIZERS}

    def correlations(self) -> pd.DataFrame:
        """How each label-free figure ranks vectors; see `rank_correlations`."""
        return rank_correlations(self.predictors, "wanted", NAMES, "item")


def run_full(
    task: FullTask, settings: FullSettings, folder: RunFolder, progress: bool = True
) -> FullResult:
    """Make vectors and ask under them; every step is kept.

    Raises ValueError where there are fewer training items than the settings ask for.
    """
    wanted = max(settings.examples, *settings.sizes)
    items = [list(each) for each in task.draw(wanted)]
    if len(items) < wanted:
        raise ValueError(f"the task needs {wanted} training items, and there are {len(items)}")
    makes = _Makes(task, folder, progress)

    single = [
        makes.job(items[item], settings.seed + seed, f"item {item + 1}, seed {seed + 1}")
        for item in range(settings.examples)
        for seed in range(settings.seeds)
    ]
    vectors, outcomes = makes.measured("seeds", single)
    part = outcomes["vector"].str.extract(r"item (?P<item>\d+), seed (?P<seed>\d+)").astype(int)
    seeds = outcomes.assign(item=part["item"], seed=part["seed"])

    several = [
        makes.job(chosen, settings.seed + draw, f"{size} items, draw {draw + 1}")
        for size in settings.sizes
        for draw, chosen in enumerate(_draws(items, size, settings))
    ]
    curve = makes.measured("curve", several)[1]
    curve["size"] = curve["vector"].str.extract(r"(\d+) items")[0].astype(int)

    optimizers: list[pd.DataFrame] = []
    effort: list[pd.DataFrame] = []
    for name, changes in OPTIMIZERS.items():
        jobs = [
            makes.job(items[item], settings.seed, f"item {item + 1}, {name}", **changes)
            for item in range(settings.examples)
        ]
        made, found = makes.measured(f"optimizer-{len(optimizers)}", jobs)
        optimizers.append(found.assign(optimizer=name))
        effort.append(_effort(made).assign(optimizer=name))

    told = folder.table("predictors", lambda: predictors(task, settings, list(vectors), single))
    shares = seeds.groupby("vector", sort=False)["wanted"].mean()
    told = told.assign(item=told["vector"].str.partition(",")[0], wanted=told["vector"].map(shares))
    return FullResult(
        settings,
        seeds,
        curve,
        pd.concat(optimizers, ignore_index=True),
        pd.concat(effort, ignore_index=True),
        told,
    )


def interval_of(outcomes: pd.DataFrame) -> Interval:
    """The mean over vectors and prompts, with a two-level interval."""
    table = outcomes.pivot(index="vector", columns="prompt", values="wanted")
    return two_level(table.to_numpy(float))


@dataclass(frozen=True)
class _Makes:
    """Makes vectors of jobs, and asks under them."""

    task: FullTask
    folder: RunFolder
    progress: bool

    def job(self, examples: Sequence[Any], seed: int, label: str, **changes: Any) -> OneShotJob:
        """A job of the task's settings; losses are means, whatever the number of examples."""
        settings = {**self.task.job, "reduction": "mean", **changes}
        return OneShotJob(examples, seed=seed, label=label, **settings)

    def measured(self, name: str, jobs: Sequence[OneShotJob]) -> tuple[VectorSet, pd.DataFrame]:
        """The jobs' vectors, and what is done under each."""
        vectors = self.folder.vectors(
            name,
            lambda: finished(optimize_batch(self.task.model, jobs, progress=self.progress), jobs),
        )
        return vectors, self.folder.table(name, lambda: self.task.outcomes(list(vectors)))


def _draws(items: Sequence[list], size: int, settings: FullSettings) -> list[list]:
    """Examples of `size` items at once, in several draws without repeats within one."""
    generator = np.random.default_rng(settings.seed + size)
    drawn = [generator.choice(len(items), size, replace=False) for _ in range(settings.draws)]
    return [[example for i in chosen for example in items[i]] for chosen in drawn]


def _effort(vectors: VectorSet) -> pd.DataFrame:
    frame = vectors.to_frame()
    return frame[["label", "loss", "evaluations", "stopped"]].rename(columns={"label": "vector"})
