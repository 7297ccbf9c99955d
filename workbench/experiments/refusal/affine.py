"""Affine concept editing of refusal: at 1 every request is refused, at 0 none (ACE).

Marshall, Scherlis & Belrose 2024 (arXiv 2411.09003). A program: edits made from training requests;
the layers that are edited together chosen on validation requests; both kinds of test requests
asked at each strength, beside the unsteered model, its parent, and edits along random directions of
equal norm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd

from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.judging import Asked, listed, prompts_of, rates_of, texts_of
from workbench.experiments.refusal.settings import AffineSettings
from workbench.methods import ConceptEdit, concept_edits, random_vector
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
    def edits() -> dict[int, ConceptEdit]:
        every = sorted({layer for some in settings.layers for layer in some})
        made = concept_edits(requests.model, *train, every, progress=progress)
        return {each.direction.layers[0]: each for each in made}

    tried = folder.table("tried", lambda: _tried(requests, settings, edits(), progress))
    by_layers = tried.groupby("layers", sort=False)["right"].mean()
    layers = next(
        each for each in map(tuple, settings.layers) if listed(each) == by_layers.idxmax()
    )

    def answers(
        way: str,
        strength: int | float,
        turned: Callable[[ConceptEdit], ConceptEdit] = as_it_is,
    ) -> pd.DataFrame:
        def judged() -> pd.DataFrame:
            steering = [Affine(turned(edits()[layer]).at(strength)) for layer in layers]
            return asked.judged(requests.model, steering, way)

        return folder.table(way, judged)

    found = [
        folder.table(way, partial(asked.judged, model, [], way))
        for way, model in (("unsteered", requests.model), ("parent", requests.parent))
    ]
    found += [answers(f"strength {strength:g}", strength) for strength in settings.strengths]
    for number in range(settings.random):
        turned = partial(along_random, seed=settings.seed + number)
        found += [
            answers(f"random {number + 1}, strength {strength:g}", strength, turned)
            for strength in (0.0, 1.0)
        ]
    projections = folder.table(
        "projections", lambda: _places(asked, [edits()[layer] for layer in layers])
    )
    return AffineResult(settings, layers, tried, pd.concat(found, ignore_index=True), projections)


def _tried(
    requests: Requests,
    settings: AffineSettings,
    edits: Mapping[int, ConceptEdit],
    progress: bool,
) -> pd.DataFrame:
    """Each set of layers at 0 and 1, on validation requests."""
    texts = texts_of(requests.validation, settings.validation_requests)
    asked = Asked(requests, *texts, settings.trial_tokens, progress)
    rows = []
    for layers in settings.layers:
        for strength in (0.0, 1.0):
            steering = [Affine(edits[layer].at(strength)) for layer in layers]
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


def as_it_is(edit: ConceptEdit) -> ConceptEdit:
    """The edit."""
    return edit


def along_random(edit: ConceptEdit, seed: int) -> ConceptEdit:
    """The same edit along a random direction of equal norm."""
    return ConceptEdit(random_vector(edit.direction, seed), edit.reference)


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
