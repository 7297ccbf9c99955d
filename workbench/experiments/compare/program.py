"""Make, choose, measure: every method at one budget of layers, strengths and cost.

A method's layer, strength (and example) are chosen on validation items: the largest mean margin
whose cost on harmless text stays within the budget, and under which the answer that shows the
behaviour has not become less likely (a margin also grows where a model is broken). On test items it
is then measured there, and at the scale that costs exactly the budget. Random vectors of the same
norm, acting in the same way at the same layer and positions, are the control of each; they are not
chosen, so `candidates` says how much choice the method had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from workbench.evaluation import calibrate, relative_norms
from workbench.experiments.compare.made import Made, UnfitTaskError
from workbench.experiments.compare.makers import METHODS, Maker
from workbench.experiments.compare.meter import Behaviour, Meter
from workbench.experiments.compare.task import Task
from workbench.methods import random_vectors
from workbench.models.hooked import HookedModel, check_layer
from workbench.runs import RunFolder

BEST, EQUAL, UNSTEERED = "best scale", "equal KL", "unsteered"
FRAMES = ("measured", "tried", "random")


@dataclass(frozen=True)
class CompareSettings:
    """`layers` and `budget` (KL on harmless text, nats a token) are the same for every method.

    `random` vectors for each; `chosen_on` and `measured_on` items at most; `questions` with a right
    and a wrong answer; `answer_tokens` of the answers to `harmless` prompts are read.
    """

    layers: Sequence[int]
    budget: int | float = 0.1
    random: int = 20
    chosen_on: int = 16
    measured_on: int = 40
    harmless: int = 16
    answer_tokens: int = 24
    questions: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layers must name at least one, none twice; got {list(self.layers)}")
        if not self.budget > 0:
            raise ValueError(f"budget is a positive number of nats a token, got {self.budget}")
        counts = ("random", "chosen_on", "measured_on", "harmless", "answer_tokens", "questions")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Comparison:
    """The table of all methods, and what it was chosen from.

    `table` has a row a method and `at` ("best scale", "equal KL"), measured on `n` test items:
    margin, its change against the unsteered model with an interval (low, high), `gained` (the
    change of log P(shows) alone, nats a token), the share of items that show the behaviour; kl,
    surprisal of harmless answers under the unsteered model, or the one that shows the behaviour
    (nats a token), distinct (their share of different 3-grams), both also of answers to the task's
    own prompts; accuracy on questions; layer, strength, norm (of what is added; else of the
    direction), data, seconds a vector, note; and of the random vectors at the best scale
    `random_95`, the 95th percentile of their changes, `below`, the share of them that change less,
    and `beyond` (None at another scale); `within` says whether the best scale kept the budget on
    validation, `candidates` how many vectors there were a layer. A method that trains the model is
    compared with its own model unsteered.

    `tried`: method, number, layer, strength, margin, kl on validation. `random`: method, vector,
    change. `left_out`: why a method has no row.
    """

    task: str
    about: str
    settings: CompareSettings
    table: pd.DataFrame
    tried: pd.DataFrame
    random: pd.DataFrame
    left_out: Mapping[str, str]

    def to_frame(self) -> pd.DataFrame:
        """The table."""
        return self.table


def compare(
    task: Task,
    settings: CompareSettings,
    methods: Mapping[str, Maker] | None = None,
    folder: RunFolder | None = None,
    progress: bool = True,
) -> Comparison:
    """Run methods on a task; with a folder, methods that are finished there are not run again.

    `methods` are by default all of them; what one cannot do here is among `left_out`. Raises
    IndexError for a layer that is not there, ValueError where no method could be run.
    """
    for layer in settings.layers:
        check_layer(task.model, layer)
    meter = Meter.of(
        task,
        chosen_on=settings.chosen_on,
        measured_on=settings.measured_on,
        harmless=settings.harmless,
        answer_tokens=settings.answer_tokens,
        questions=settings.questions,
    )
    nothing = meter.measured(task.model, [], meter.base)
    unsteered = {"method": UNSTEERED, "at": UNSTEERED, **nothing}
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in FRAMES}
    left_out: dict[str, str] = {}
    methods = METHODS if methods is None else methods
    for name, make in tqdm(methods.items(), desc="methods", unit="method", disable=not progress):
        run = _Run(task, settings, meter, name, make)
        try:
            for kind in FRAMES:
                found[kind].append(_kept(folder, f"{name}, {kind}", getattr(run, kind)))
        except UnfitTaskError as error:
            left_out[name] = str(error)
        run.forget()
    if not found["measured"]:
        raise ValueError(f"no method could be run on {task.name}: {left_out}")
    table = pd.concat([pd.DataFrame([unsteered]), *found["measured"]], ignore_index=True)
    tried, random = (pd.concat(found[kind], ignore_index=True) for kind in ("tried", "random"))
    limits = random.groupby("method")["change"].quantile(0.95)
    at_best = table["at"] == BEST
    table["random_95"] = table["method"].map(limits).where(at_best)
    table["beyond"] = (table["change"] > table["random_95"]).where(at_best)
    below = [
        float((random[random["method"] == method]["change"] < change).mean())
        for method, change in zip(table["method"], table["change"], strict=True)
    ]
    table["below"] = pd.Series(below).where(at_best)
    return Comparison(task.name, task.about, settings, table, tried, random, left_out)


@dataclass(eq=False)
class _Run:
    """One method: what it made and tried, and what was chosen; each found when first asked for."""

    task: Task
    settings: CompareSettings
    meter: Meter
    name: str
    make: Maker
    _trials: list[_Trial] | None = None
    _unsteered: Behaviour | None = None
    _seconds: float = 0.0
    _skipped: str = ""

    def measured(self) -> pd.DataFrame:
        """A row at the best scale, and one at equal cost where the method has a scale."""
        best = self._best()
        row = self._row(BEST, best, best.strength)
        if not best.made.in_stream:
            return _noted(row, "it has no scale")
        if len({trial.kl for trial in self._all() if trial.number == best.number}) == 1:
            return _noted(row, "on harmless text it costs the same at every strength")
        try:
            equal = calibrate(
                best.model(self.task),
                best.made.vector,
                self.settings.budget,
                self.meter.spent,
                best.made.apply,
                tolerance=0.05,
            )
        except ValueError as error:  # no scale costs just that
            return _noted(row, str(error))
        return pd.DataFrame([row, self._row(EQUAL, best, equal.scale / best.unit)])

    def tried(self) -> pd.DataFrame:
        """Every layer and strength, on validation."""
        return pd.DataFrame(
            {
                "method": self.name,
                "number": trial.number,
                "layer": trial.made.vector.layers[0],
                "strength": trial.strength,
                "margin": trial.margin,
                "shown": trial.shown,
                "kl": trial.kl,
            }
            for trial in self._all()
        )

    def forget(self) -> None:
        """Let go of models that the method trained."""
        for trial in self._trials or ():
            if trial.made.model is not None:
                self.meter.forget(trial.made.model)
        self._trials = None

    def random(self) -> pd.DataFrame:
        """The mean change by random vectors in the place of the chosen one, on test."""
        best = self._best()
        others = random_vectors(best.made.vector, self.settings.random, self.settings.seed)
        model = best.model(self.task)
        rows = []
        for other in others:
            steering = best.made.apply(other, best.strength * best.unit)
            change = float(np.mean(self.meter.changes(model, steering, self._base(best))))
            rows.append({"method": self.name, "vector": other.label, "change": change})
        return pd.DataFrame(rows)

    def _row(self, at: str, best: _Trial, strength: float) -> dict[str, Any]:
        made = best.made
        steering = made.apply(made.vector, strength * best.unit)
        return {
            "method": self.name,
            "at": at,
            **self.meter.measured(best.model(self.task), steering, self._base(best)),
            "layer": made.vector.layers[0],
            "strength": strength,
            "norm": made.vector.norm * (strength * best.unit if made.in_stream else 1.0),
            "within": best.kl <= self.settings.budget,
            "candidates": self._candidates(),
            "data": made.data,
            "seconds": self._seconds,
            "note": _joined(made.note, self._skipped),
        }

    def _base(self, best: _Trial) -> Behaviour:
        if self._unsteered is None:
            self._unsteered = self.meter.unsteered(best.model(self.task))
        return self._unsteered

    def _best(self) -> _Trial:
        """The largest margin within the budget whose answers did not become less likely.

        Where none did not, the largest margin; where nothing is within it, the cheapest.
        """
        trials = self._all()
        within = [trial for trial in trials if trial.kl <= self.settings.budget]
        if not within:
            return min(trials, key=lambda trial: trial.kl)
        before = {trial: self.meter.shown_before(trial.model(self.task)) for trial in within}
        gaining = [trial for trial in within if trial.shown >= before[trial]]
        return max(gaining or within, key=lambda trial: trial.margin)

    def _candidates(self) -> int:
        """How many vectors a layer there were to choose from."""
        trials = self._all()
        layers = {trial.made.vector.layers[0] for trial in trials}
        return len({trial.number for trial in trials}) // len(layers)

    def _made(self) -> list[Made]:
        """Everything at every layer where it can be.

        Raises UnfitTaskError, in its words, where that is nowhere.
        """
        made: list[Made] = []
        why: dict[int, str] = {}
        for layer in self.settings.layers:
            try:
                found = self.make(self.task, layer, self.settings.seed)
                if any(not each.vector.norm for each in found):
                    raise UnfitTaskError("its vector is zero")
            except (ValueError, ModuleNotFoundError) as error:
                why[layer] = str(error)
            else:
                made += found
        if not made:
            raise UnfitTaskError("; ".join(dict.fromkeys(why.values())))
        self._skipped = "; ".join(f"not at layer {layer}: {words}" for layer, words in why.items())
        return made

    def _all(self) -> list[_Trial]:
        if self._trials is None:
            start = time.perf_counter()
            made = self._made()
            self._seconds = (time.perf_counter() - start) / len(made)
            prompts = self.task.harmless["validation"]
            norms = relative_norms(self.task.model, [each.vector for each in made], prompts).stream
            self._trials = []
            for number, (each, norm) in enumerate(zip(made, norms, strict=True)):
                unit = norm / each.vector.norm if each.in_stream else 1.0
                model = each.model or self.task.model
                for strength in each.strengths:
                    steering = each.apply(each.vector, strength * unit)
                    values = self.meter.tried(model, steering)
                    self._trials.append(_Trial(number, each, strength, unit, **values))
        return self._trials


@dataclass(frozen=True, eq=False)
class _Trial:
    """One vector at one strength, on validation. `unit` is the scale of a strength of 1."""

    number: int
    made: Made
    strength: float
    unit: float
    margin: float
    shown: float
    kl: float

    def model(self, task: Task) -> HookedModel:
        return self.made.model or task.model


def _noted(row: dict[str, Any], note: str) -> pd.DataFrame:
    """A single row, with why there is no other."""
    return pd.DataFrame([{**row, "note": _joined(row["note"], note)}])


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _kept(folder: RunFolder | None, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    return make() if folder is None else folder.table(name, make)
