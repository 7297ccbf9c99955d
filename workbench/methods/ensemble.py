"""Steering vector ensembles: contrast sets found by Bayesian optimization, their vectors averaged.

After "Shifting Perspectives" (2503.05371). How a contrast set is worded decides much of what its
vector does: templates, system prompts, pairs of words, how many sentences. Optuna searches these
choices, the layer and the coefficient, scored by whoever asks (the paper: accuracy on BBQ). Members
found for several tasks (its nine axes) make one vector at run time:

    h ← h + c̄ · mean_i v_i,    c̄ = mean_i c_i

The control is one vector made from all members' sets merged, with the same coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.methods.principal_component import principal_component
from workbench.models.hooked import HookedModel
from workbench.steering.interventions import Add
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

Make = Callable[[HookedModel, Sequence[str], Sequence[str], Sequence[int]], VectorSet]


@dataclass(frozen=True)
class ContrastSet:
    """Prompts that have a concept and as many that lack it, `positive[i]` beside `negative[i]`."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]


Compose = Callable[[Mapping[str, Any]], ContrastSet]
Score = Callable[[Add], float]


@dataclass(frozen=True)
class SearchSpace:
    """What may be chosen: `choices` by name for the contrast set, a layer, a coefficient.

    Raises ValueError where there is nothing to choose from.
    """

    choices: Mapping[str, Sequence[Any]]
    layers: Sequence[int]
    coefficients: tuple[int | float, int | float] = (-2.0, 2.0)

    def __post_init__(self) -> None:
        empty = [name for name, values in self.choices.items() if not values]
        if empty or not self.layers:
            raise ValueError(f"nothing to choose from for {[*empty] or 'the layer'}")
        low, high = self.coefficients
        if low > high:
            raise ValueError(f"coefficients go from a lower to a higher one, got {low} to {high}")


@dataclass(frozen=True, eq=False)
class Member:
    """The best of a search: its contrast set, vector and coefficient.

    `trials` has a row for each that was tried: its choices, layer, coefficient, and score; NaN
    where its contrast set gave no vector.
    """

    chosen: Mapping[str, Any]
    contrast: ContrastSet
    vector: SteeringVector
    coefficient: float
    score: float
    trials: pd.DataFrame

    @property
    def steering(self) -> Add:
        """The vector at its coefficient."""
        return Add(self.vector, self.coefficient)


def search(
    model: HookedModel,
    compose: Compose,
    space: SearchSpace,
    score: Score,
    *,
    trials: int = 50,
    startup: int = 10,
    seed: int = 0,
    make: Make | None = None,
) -> Member:
    """The choices whose vector scores highest, by Optuna's sampler (TPE), trial by trial.

    The first `startup` trials are drawn at random: with no more than these it is random search.
    `compose` turns choices into a contrast set, `make` that into vectors (by default their first
    principal component, as in the paper); `score` must not see what is reported later. Raises
    ModuleNotFoundError without Optuna, ValueError where no trial gave a vector.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    make = make or _first_component
    low, high = space.coefficients

    def drawn(trial: Any) -> tuple[dict[str, Any], int, float]:
        chosen = {
            name: values[trial.suggest_categorical(name, list(range(len(values))))]
            for name, values in space.choices.items()
        }
        layer = trial.suggest_categorical("layer", list(space.layers))
        return chosen, layer, trial.suggest_float("coefficient", low, high)

    def built(chosen: Mapping[str, Any], layer: int) -> tuple[ContrastSet, SteeringVector]:
        contrast = compose(chosen)
        (vector,) = make(model, contrast.positive, contrast.negative, [layer])
        return contrast, vector

    def objective(trial: Any) -> float:
        chosen, layer, coefficient = drawn(trial)
        try:
            _, vector = built(chosen, layer)
        except ValueError as error:  # these choices give no vector; others may
            trial.set_user_attr("refused", str(error))
            raise optuna.TrialPruned from error
        return float(score(Add(vector, coefficient)))

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup),
    )
    study.optimize(objective, n_trials=trials)
    done = [each for each in study.trials if each.value is not None]
    if not done:
        reasons = {each.user_attrs.get("refused") for each in study.trials}
        raise ValueError(f"none of {trials} trials gave a vector: {sorted(map(str, reasons))}")
    tried = []
    for each in study.trials:
        chosen, layer, coefficient = drawn(optuna.trial.FixedTrial(each.params))
        here = {"layer": layer, "coefficient": coefficient, "score": each.value}
        tried.append({"trial": each.number, **chosen, **here})
    chosen, layer, coefficient = drawn(optuna.trial.FixedTrial(study.best_params))
    contrast, vector = built(chosen, layer)
    return Member(chosen, contrast, vector, coefficient, study.best_value, pd.DataFrame(tried))


def ensemble(members: Sequence[Member], label: str = "ensemble") -> Add:
    """The members' mean vector, added with their mean coefficient.

    Raises ValueError for fewer than two members, and for members of different layers.
    """
    _common_layer(members)
    first, *others = [each.vector for each in members]
    mean = sum(others, first) / len(members)
    return Add(mean.labelled(label), _mean_coefficient(members))


def merged(
    model: HookedModel,
    members: Sequence[Member],
    make: Make | None = None,
    label: str = "merged contrast sets",
) -> Add:
    """The control: one vector from all members' sets together, with their mean coefficient."""
    layer = _common_layer(members)
    pairs = dict.fromkeys(
        pair
        for each in members
        for pair in zip(each.contrast.positive, each.contrast.negative, strict=True)
    )
    positive, negative = zip(*pairs, strict=True)
    (vector,) = (make or _first_component)(model, positive, negative, [layer])
    return Add(vector.labelled(label), _mean_coefficient(members))


def _first_component(
    model: HookedModel, positive: Sequence[str], negative: Sequence[str], layers: Sequence[int]
) -> VectorSet:
    return principal_component(model, positive, negative, layers=layers)


def _common_layer(members: Sequence[Member]) -> int:
    if len(members) < 2:
        raise ValueError(f"an ensemble needs two members or more, got {len(members)}")
    layers = {layer for each in members for layer in each.vector.layers}
    if len(layers) > 1:
        raise ValueError(
            f"the members are of layers {sorted(layers)}: search each with the same single layer"
        )
    return layers.pop()


def _mean_coefficient(members: Sequence[Member]) -> float:
    return sum(each.coefficient for each in members) / len(members)


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the search for contrast sets needs Optuna: pip install 'steering-workbench[search]'"
        ) from error
    return optuna
