"""One-shot vectors beside the refusal direction: how they lie, what each does, what each costs.

The comparison that Dunefsky & Cohan (arXiv 2502.18862) leave open: vectors made from one example
each against the direction of Arditi et al. (arXiv 2406.11717), the difference of means at the
vectors' own layer, affine concept editing (arXiv 2411.09003), and random vectors of equal norm.

All vectors point towards answering here: the two made from contrasts are turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import pandas as pd
from tqdm.auto import tqdm

from workbench.analysis.geometry import CosineGeometry, cosine_geometry
from workbench.analysis.mediation import PARTS, WHOLE, Mediation, mediate
from workbench.analysis.refusal_outcomes import RefusalOutcomes
from workbench.evaluation import Separation, separation
from workbench.evaluation.proportion import proportion
from workbench.methods.affine import ConceptEdit
from workbench.methods.mean_difference import mean_difference
from workbench.methods.moments import Moments, moments
from workbench.methods.random_vectors import random_vectors
from workbench.steering.affine import Affine
from workbench.steering.interventions import Ablate, Add, Clamp, Steering
from workbench.steering.vector import SteeringVector

ONE_SHOT, SELECTED, MEANS, RANDOM = "one-shot", "refusal direction", "difference of means", "random"
UNSTEERED, ADDITION = "unsteered", "addition"

Way = Callable[[SteeringVector, Moments], Steering]
WAYS: dict[str, Way] = {
    ADDITION: lambda vector, harmless: Add(vector),
    "ablation at all layers": lambda vector, harmless: Ablate(vector),
    "clamp": lambda vector, harmless: Clamp(vector),
    "affine": lambda vector, harmless: Affine(
        ConceptEdit(vector, harmless.at(vector.layers[0]).float()).at(0.0)
    ),
}
"""How a vector is applied. Affine gives its component the value that harmless requests have."""

Keep = Callable[[str, Callable[[], pd.DataFrame]], pd.DataFrame]
"""From a step's name and what makes its table to that table: made, or found where it was kept."""


@dataclass(frozen=True, eq=False)
class RefusalComparison:
    """What the vectors are and do; every frame names its vectors by the labels of `geometry`.

    `effects`: vector, kind, way, n, success, low, high (Wilson), raw, false_refusals with
    false_low and false_high, n_harmless, kl, cross_entropy_change (nats a token on harmless
    requests). `projections`: vector, kind, harmful, request, projection on the unit vector at the
    last token. `answers` has every judged answer but those of `mediation`. `best` was chosen
    elsewhere, on other requests. `separated`: over 0.5 harmless requests lie further along.
    """

    best: str
    kinds: dict[str, str]
    geometry: CosineGeometry
    separated: Separation
    projections: pd.DataFrame
    effects: pd.DataFrame
    answers: pd.DataFrame
    mediation: Mediation

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and way."""
        return self.effects


def compare_refusal(
    outcomes: RefusalOutcomes,
    one_shot: Sequence[SteeringVector],
    best: str,
    direction: SteeringVector,
    train_harmful: Sequence[str],
    train_harmless: Sequence[str],
    *,
    random: int = 3,
    seed: int = 0,
    keep: Keep | None = None,
    progress: bool = False,
) -> RefusalComparison:
    """Measure one-shot vectors of one layer against the refusal direction and its neighbours.

    `best` is the label of the one-shot vector that is applied in every way, as the direction, the
    difference of means and a random vector are; the others are added only. `direction` is harmful
    minus harmless, as `select_refusal_direction` gives it. The training requests give the means.
    With `keep` each step's table is made once (`RunFolder.table`).

    The direction may belong to another layer than the vectors; cosines compare them all the same,
    because it is ablated from every layer. Needs scikit-learn. Raises ValueError for vectors of
    several layers, labels that repeat or are those of the others, and a `best` that is none of
    them.
    """
    layers = {vector.layer for vector in one_shot}
    if len(layers) != 1 or not isinstance(one_shot[0].layer, int) or random < 1:
        raise ValueError(
            f"one-shot vectors of one layer are compared with one random vector at least; got "
            f"layers {sorted(map(str, layers))} and {random} random ones"
        )
    ask, model = outcomes.ask, outcomes.model
    harmful, harmless = ([ask(each) for each in some] for some in (train_harmful, train_harmless))
    (means,) = mean_difference(model, harmful, harmless, layers=[one_shot[0].layer])
    norm = median(vector.norm for vector in one_shot)
    randoms = list(random_vectors(one_shot[0].normalized(norm), random, seed))
    selected, means = (-direction).labelled(SELECTED), (-means).labelled(MEANS)
    everything = [*one_shot, selected, means, *randoms]
    kinds = _kinds(one_shot, randoms, best)
    wanted = sorted({layer for vector in everything for layer in vector.layers})
    reference = moments(model, harmless, layers=wanted)
    examined = [next(v for v in one_shot if v.label == best), selected, means, randoms[0]]
    asked = [ask(each) for each in outcomes.harmful]
    separated = separation(model, examined, outcomes.harmless.prompts, asked)

    kept = keep or (lambda name, make: make())
    in_every_way = {vector.label for vector in examined}
    tasks: list[tuple[str, str, Steering]] = [(UNSTEERED, "", ())]
    tasks += [
        (vector.label, way, WAYS[way](vector, reference))
        for vector in everything
        for way in (WAYS if vector.label in in_every_way else [ADDITION])
    ]
    found: dict[tuple[str, str], pd.DataFrame] = {}
    for number, (label, way, steering) in enumerate(
        tqdm(tasks, desc="refusal", disable=not progress)
    ):
        made = kept(f"answers {number:03d}", partial(_answers, outcomes, steering))
        found[label, way] = made.assign(vector=label, kind=kinds.get(label, UNSTEERED), way=way)

    labels = [vector.label for vector in one_shot]

    def judged(made: SteeringVector, part: str) -> pd.DataFrame:
        if part == WHOLE:
            return found[made.label, ADDITION]
        number = labels.index(made.label.removesuffix(f", {part}"))
        name = f"part {number:03d} {PARTS.index(part)}"
        return kept(name, lambda: outcomes.attack(Add(made)).to_frame())

    answers = pd.concat(found.values(), ignore_index=True)
    return RefusalComparison(
        best,
        kinds,
        cosine_geometry(everything, across_layers=True),
        separated,
        _projections(separated, outcomes, kinds),
        pd.DataFrame([_effect(*key, each) for key, each in found.items()]),
        answers.drop(columns=list(COSTS)),
        mediate(judged, one_shot, selected, progress=progress),
    )


def _kinds(
    one_shot: Sequence[SteeringVector], randoms: Sequence[SteeringVector], best: str
) -> dict[str, str]:
    """The kind of each label. Raises ValueError where a label is none, or not alone."""
    labels = [vector.label for vector in one_shot]
    others = {SELECTED: SELECTED, MEANS: MEANS}
    others |= dict.fromkeys((vector.label for vector in randoms), RANDOM)
    taken = sorted(
        {each for each in labels if labels.count(each) > 1 or each in (*others, UNSTEERED)}
    )
    if taken or not all(labels) or best not in labels:
        raise ValueError(
            f"each one-shot vector needs a label of its own ({taken or 'an empty one'} will not "
            f"do), and {best!r} must be one of them: {labels}"
        )
    return dict.fromkeys(labels, ONE_SHOT) | others


COSTS = ("harmless_refused", "n_harmless", "kl", "cross_entropy_change")


def _answers(outcomes: RefusalOutcomes, steering: Steering) -> pd.DataFrame:
    """Judged answers, with what harmless requests pay in every row."""
    paid = outcomes.cost(steering)
    costs = (paid.refused.successes, paid.refused.n, paid.kl, paid.cross_entropy_change)
    return outcomes.attack(steering).to_frame().assign(**dict(zip(COSTS, costs, strict=True)))


def _effect(label: str, way: str, answers: pd.DataFrame) -> dict[str, object]:
    """A row of `effects` from the answers behind it."""
    first = answers.iloc[0]
    success = proportion(int(answers["succeeds"].sum()), len(answers))
    refused = proportion(int(first["harmless_refused"]), int(first["n_harmless"]))
    return {
        "vector": label,
        "kind": first["kind"],
        "way": way,
        "n": success.n,
        "success": success.rate,
        "low": success.low,
        "high": success.high,
        "raw": 1.0 - float(answers["refuses"].mean()),
        "false_refusals": refused.rate,
        "false_low": refused.low,
        "false_high": refused.high,
        "n_harmless": refused.n,
        "kl": float(first["kl"]),
        "cross_entropy_change": float(first["cross_entropy_change"]),
    }


def _projections(
    separated: Separation, outcomes: RefusalOutcomes, kinds: dict[str, str]
) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "vector": label,
                "kind": kinds[label],
                "harmful": harmful,
                "request": list(requests),
                "projection": values,
            }
        )
        for harmful, requests, every in (
            (True, outcomes.harmful, separated.negative),
            (False, outcomes.harmless.requests, separated.positive),
        )
        for label, values in zip(separated.labels, every, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)
