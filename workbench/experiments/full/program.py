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

from workbench.evaluation import Interval
from workbench.experiments.full.predictors import predictors, rank_correlations, training_of
from workbench.experiments.full.settings import FullSettings, FullTask
from workbench.experiments.shares import over_vectors
from workbench.methods import Example, OneShotJob, optimize_batch, random_vectors
from workbench.methods.one_shot import finished
from workbench.runs import RunFolder
from workbench.steering import VectorSet

NAMES = ("loss", "norm", "steps", "sharpness", "cosine", "kl")
ADAM, UNSTEERED = "Adam", "unsteered"
OTHERS: dict[str, dict[str, Any]] = {
    "L-BFGS, same start": {"optimizer": "lbfgs", "start": "random"},
    "L-BFGS, steepest start": {"optimizer": "lbfgs", "start": "steepest", "start_norm": None},
}
OPTIMIZERS = (ADAM, *OTHERS)
RESAMPLES = 2000
_MADE_OF = ("part", "vector", "wanted", "n", "item", "seed", "size", "optimizer")
_TRAINED = ("loss", "norm", "steps", "evaluations", "stopped", "sharpness", "cosine", "kl")
Item = Sequence[Example]
_OF_EXAMPLES = ("prompt", "promote", "suppress", "target_losses", "negated", "group")


@dataclass(frozen=True)
class FullResult:
    """Outcomes by vector and prompt.

    Columns of `seeds`: item, seed, vector, prompt, wanted. Of `curve`: size, vector, prompt,
    wanted. Of `optimizers`: optimizer, vector, prompt, wanted; of `effort`: optimizer, vector,
    loss (nats), norm, steps, evaluations, stopped; `sizes` has the same by size, of the curve.
    `predictors`: see `predictors`, with item and wanted (the share). Of `controls`: vector, prompt,
    wanted, under random vectors at the longest norm of `seeds`, and unsteered where that can be.
    """

    settings: FullSettings
    seeds: pd.DataFrame
    curve: pd.DataFrame
    sizes: pd.DataFrame
    optimizers: pd.DataFrame
    effort: pd.DataFrame
    predictors: pd.DataFrame
    controls: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and question: what it was made of, what it does, its training.

        Columns: part (seeds, curve, optimizers, controls), vector, wanted (the share of `n`
        prompts), then what the part has: item, seed, size, optimizer, loss (nats), norm, steps,
        evaluations, stopped, sharpness, cosine, kl. Adam's vectors stand in two parts.
        """
        told = self.predictors.drop(columns=["item", "wanted"])
        parts = (
            ("seeds", self.seeds, ["item", "seed"], told, ["vector"]),
            ("curve", self.curve, ["size"], self.sizes, ["size", "vector"]),
            ("optimizers", self.optimizers, ["optimizer"], self.effort, ["optimizer", "vector"]),
        )
        frames = [
            _shares(outcomes, keys).merge(training, on=on, validate="1:1").assign(part=part)
            for part, outcomes, keys, training, on in parts
        ]
        frames.append(_shares(self.controls, []).assign(part="controls"))
        return pd.concat(frames, ignore_index=True)[[*_MADE_OF, *_TRAINED]].convert_dtypes()

    def variance(self) -> pd.DataFrame:
        """How vectors' shares vary by training item and by seed: measure, value, low, high.

        Standard deviations, and the item's share of the variance, by a one-way analysis of
        variance; what it finds negative is zero. The interval is a bootstrap over items.
        """
        table = self.seeds.groupby(["item", "seed"])["wanted"].mean().unstack("seed").to_numpy()
        generator = np.random.default_rng(self.settings.seed)
        drawn = generator.integers(len(table), size=(RESAMPLES, len(table)))
        resampled = pd.DataFrame([_variance(table[rows]) for rows in drawn])
        return pd.DataFrame(
            {
                "measure": name,
                "value": value,
                "low": resampled[name].quantile(0.025),
                "high": resampled[name].quantile(0.975),
            }
            for name, value in _variance(table).items()
        )

    def by_size(self) -> dict[int, Interval]:
        """The mean over vectors and prompts for each number of training items."""
        sizes = sorted(set(self.curve["size"]))
        return {size: _mean(self.curve[self.curve["size"] == size]) for size in sizes}

    def by_optimizer(self) -> dict[str, Interval]:
        """The same for each optimizer."""
        table = self.optimizers
        return {name: _mean(table[table["optimizer"] == name]) for name in OPTIMIZERS}

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
    items = _items(folder.table("items", lambda: _table_of(task.draw(wanted))))
    if len(items) < wanted:
        raise ValueError(f"the task needs {wanted} training items, and there are {len(items)}")
    makes = _Makes(task, folder, progress)

    single = [
        makes.job([items[item]], settings.seed + seed, f"item {item + 1}, seed {seed + 1}")
        for item in range(settings.examples)
        for seed in range(settings.seeds)
    ]
    vectors, outcomes = makes.measured("seeds", single)
    part = outcomes["vector"].str.extract(r"item (?P<item>\d+), seed (?P<seed>\d+)").astype(int)
    seeds = outcomes.assign(item=part["item"], seed=part["seed"])

    curves: list[pd.DataFrame] = []
    sizes: list[pd.DataFrame] = []
    for size in settings.sizes:
        several = [
            makes.job(chosen, settings.seed + draw, f"{size} items, draw {draw + 1}")
            for draw, chosen in enumerate(_draws(items, size, settings))
        ]
        made, found = makes.measured(f"curve-{size}", several)
        curves.append(found.assign(size=size))
        sizes.append(training_of(made).assign(size=size))

    # Adam's are the vectors of the first seed.
    adam = [
        vector for vector, job in zip(vectors, single, strict=True) if job.seed == settings.seed
    ]
    same = outcomes["vector"].isin([vector.label for vector in adam])
    optimizers = [outcomes[same].assign(optimizer=ADAM)]
    effort = [training_of(VectorSet(adam)).assign(optimizer=ADAM)]
    for number, (name, changes) in enumerate(OTHERS.items(), start=1):
        jobs = [
            makes.job([items[item]], settings.seed, f"item {item + 1}, {name}", **changes)
            for item in range(settings.examples)
        ]
        made, found = makes.measured(f"optimizer-{number}", jobs)
        optimizers.append(found.assign(optimizer=name))
        effort.append(training_of(made).assign(optimizer=name))

    longest = max(vectors, key=lambda vector: vector.norm)
    randoms = list(random_vectors(longest, settings.random, settings.seed))
    controls = [folder.table("random", lambda: task.outcomes(randoms))]
    if task.unsteered is not None:
        controls.append(folder.table("unsteered", task.unsteered).assign(vector=UNSTEERED))

    told = folder.table("predictors", lambda: predictors(task, settings, vectors, single))
    shares = seeds.groupby("vector", sort=False)["wanted"].mean()
    told = told.assign(item=told["vector"].str.partition(",")[0], wanted=told["vector"].map(shares))
    return FullResult(
        settings,
        seeds,
        pd.concat(curves, ignore_index=True),
        pd.concat(sizes, ignore_index=True),
        pd.concat(optimizers, ignore_index=True),
        pd.concat(effort, ignore_index=True),
        told,
        pd.concat(controls, ignore_index=True),
    )


def _variance(shares: np.ndarray) -> dict[str, float]:
    """Of shares [item, seed]; see `FullResult.variance`."""
    within = float(shares.var(axis=1, ddof=1).mean())
    between = max(0.0, float(shares.mean(axis=1).var(ddof=1)) - within / shares.shape[1])
    total = within + between
    return {
        "sd by item": between**0.5,
        "sd by seed": within**0.5,
        "share of item": between / total if total else float("nan"),
    }


def _mean(outcomes: pd.DataFrame) -> Interval:
    return over_vectors(outcomes, "wanted", "prompt")


def _shares(outcomes: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row a vector: the keys, vector, wanted, n."""
    each = outcomes.groupby([*keys, "vector"], sort=False)["wanted"]
    return each.agg(wanted="mean", n="size").reset_index()


@dataclass(frozen=True)
class _Makes:
    """Makes vectors of jobs, and asks under them."""

    task: FullTask
    folder: RunFolder
    progress: bool

    def job(self, items: Sequence[Item], seed: int, label: str, **changes: Any) -> OneShotJob:
        """A job of the task's settings, with means over the examples in place of sums.

        Its target is for the total of one item, so it grows with their number.
        """
        settings = {**self.task.job, "reduction": "mean", **changes}
        if settings.get("target_loss") is not None and settings.get("target_of") != "completion":
            settings["target_loss"] *= len(items)
        examples = [example for item in items for example in item]
        return OneShotJob(examples, seed=seed, label=label, **settings)

    def measured(self, name: str, jobs: Sequence[OneShotJob]) -> tuple[VectorSet, pd.DataFrame]:
        """The jobs' vectors, and what is done under each."""
        vectors = self.folder.vectors(
            name,
            lambda: finished(optimize_batch(self.task.model, jobs, progress=self.progress), jobs),
        )
        return vectors, self.folder.table(name, lambda: self.task.outcomes(list(vectors)))


def _draws(items: Sequence[Item], size: int, settings: FullSettings) -> list[list[Item]]:
    """`size` items at once, in several draws without repeats within one."""
    generator = np.random.default_rng(settings.seed + size)
    drawn = [generator.choice(len(items), size, replace=False) for _ in range(settings.draws)]
    return [[items[i] for i in chosen] for chosen in drawn]


def _table_of(items: Sequence[Item]) -> pd.DataFrame:
    """A row an example: item, and what it is."""
    rows = [{"item": i, **each.to_dict()} for i, item in enumerate(items) for each in item]
    if any(row["imitate"] or row["positions"] for row in rows):
        raise ValueError("training items are texts, without imitations and positions of their own")
    return pd.DataFrame(rows)


def _items(table: pd.DataFrame) -> list[Item]:
    """The items of their table."""
    rows = table.astype(object).where(table.notna(), None)
    return [
        [Example(**{name: row[name] for name in _OF_EXAMPLES}) for row in some.to_dict("records")]
        for _, some in rows.groupby("item", sort=True)
    ]
