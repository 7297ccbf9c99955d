"""Affine concept editing of refusal: at 1 every request is refused, at 0 none (ACE).

Marshall, Scherlis & Belrose 2024 (arXiv 2411.09003). A program: edits made from training requests;
the layers that are edited together chosen on validation requests; both kinds of test requests
asked at each strength, beside the unsteered model, its parent, and edits along random directions of
equal norm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.judging import Asked, listed, prompts_of, rates_of, texts_of
from workbench.experiments.refusal.settings import AffineSettings
from workbench.methods import ConceptEdit, concept_edit, random_vectors
from workbench.runs import RunFolder
from workbench.steering import Affine
from workbench.steering.activations import activations


@dataclass(frozen=True)
class AffineResult:
    """Answers by way and request as `Asked.judged` gives them; what was tried; where requests lie.

    Ways are "unsteered", "parent", "strength 0" and so on, "random 1, strength 0" and so on.
    `tried`: layers, strength, right (the share of coherent answers that refuse at 1, and do not at
    0), n. `projections`: layer, harmful, place of test requests along the concept, 0 where harmless
    training requests lie on average and 1 where harmful ones do.
    """

    settings: AffineSettings
    layers: tuple[int, ...]
    tried: pd.DataFrame
    answers: pd.DataFrame
    projections: pd.DataFrame

    def rates(self) -> pd.DataFrame:
        """One row a way and kind of request: way, harmful, n, refuses, low, high, coherent."""
        return rates_of(self.answers)


def run_affine(
    requests: Requests, settings: AffineSettings, folder: RunFolder, progress: bool = True
) -> AffineResult:
    """Make edits, choose their layers, measure on `requests.harmful`; every step is kept."""
    train = prompts_of(requests, requests.train, settings.train_requests)
    asked = Asked.on_test(requests, settings.test_requests, settings.answer_tokens, progress)

    @cache
    def edit(layer: int) -> ConceptEdit:
        return concept_edit(requests.model, *train, layer, progress=progress)

    tried = folder.table("tried", lambda: _tried(requests, settings, edit, progress))
    by_layers = tried.groupby("layers", sort=False)["right"].mean()
    layers = next(
        each for each in map(tuple, settings.layers) if listed(each) == by_layers.idxmax()
    )

    def answers(way: str, edits: Sequence[ConceptEdit], strength: int | float) -> pd.DataFrame:
        steering = [Affine(each.at(strength)) for each in edits]
        return folder.table(way, lambda: asked.judged(requests.model, steering, way))

    found = [
        answers("unsteered", [], 0),
        folder.table("parent", lambda: asked.judged(requests.parent, [], "parent")),
    ]
    found += [
        answers(f"strength {strength:g}", [edit(layer) for layer in layers], strength)
        for strength in settings.strengths
    ]
    for number in range(settings.random):
        edits = [_along_random(edit(layer), settings.seed + number) for layer in layers]
        found += [
            answers(f"random {number + 1}, strength {strength:g}", edits, strength)
            for strength in (0.0, 1.0)
        ]
    projections = folder.table("projections", lambda: _places(asked, [edit(k) for k in layers]))
    return AffineResult(settings, layers, tried, pd.concat(found, ignore_index=True), projections)


def _tried(
    requests: Requests,
    settings: AffineSettings,
    edit: Callable[[int], ConceptEdit],
    progress: bool,
) -> pd.DataFrame:
    """Each set of layers at 0 and 1, on validation requests."""
    texts = texts_of(requests.validation, settings.validation_requests)
    asked = Asked(requests, *texts, settings.trial_tokens, progress)
    rows = []
    for layers in settings.layers:
        for strength in (0.0, 1.0):
            steering = [Affine(edit(layer).at(strength)) for layer in layers]
            found = asked.judged(requests.model, steering, "tried")
            right = found["coherent"] & (found["refuses"] == (strength == 1.0))
            rows.append(
                {
                    "layers": listed(layers),
                    "strength": strength,
                    "right": float(right.mean()),
                    "n": len(found),
                }
            )
    return pd.DataFrame(rows)


def _along_random(edit: ConceptEdit, seed: int) -> ConceptEdit:
    """The same edit along a random direction of equal norm."""
    (direction,) = random_vectors(edit.direction, 1, seed)
    return ConceptEdit(direction, edit.reference)


def _places(asked: Asked, edits: Sequence[ConceptEdit]) -> pd.DataFrame:
    layers = [edit.direction.layers[0] for edit in edits]
    read = activations(asked.requests.model, asked.prompts, layers=layers)
    rows = []
    for i, edit in enumerate(edits):
        values = edit.direction.values
        places = (read[:, i] - edit.reference) @ values / values.norm() ** 2
        for row, place in enumerate(np.asarray(places, float).tolist()):
            harmful = row < len(asked.harmful)
            rows.append({"layer": layers[i], "harmful": harmful, "place": place})
    return pd.DataFrame(rows)
