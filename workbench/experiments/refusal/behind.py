"""What may stand behind a gate: an aligned sibling's vectors or affine edit, a one-shot vector.

The sibling's difference of means is added (InferAligner) or used as an affine edit; a one-shot
vector is optimized on the model itself, to promote the refusal of a single training request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.judging import listed, prompts_of
from workbench.experiments.refusal.settings import ConditionalSettings
from workbench.methods import ConceptEdit, Example, OneShotJob, concept_edits, optimize_batch
from workbench.methods.one_shot import finished
from workbench.steering import Add, Affine, SteeringVector, generate
from workbench.steering.interventions import Intervention

Turn = Callable[[SteeringVector], SteeringVector]


@dataclass(frozen=True, eq=False)
class Added:
    """Vectors, each at its own layer, times a scale."""

    name: str
    vectors: tuple[SteeringVector, ...]
    scale: float

    @property
    def layers(self) -> tuple[int, ...]:
        """Where they act, in ascending order."""
        return tuple(vector.layers[0] for vector in self.vectors)

    def acting(self, turned: Turn) -> list[Intervention]:
        """The interventions, along what `turned` makes of the vectors."""
        return [Add(turned(vector), self.scale) for vector in self.vectors]

    def row(self) -> dict[str, object]:
        """intervention, layers, strength."""
        return {"intervention": self.name, "layers": listed(self.layers), "strength": self.scale}


@dataclass(frozen=True, eq=False)
class Edited:
    """Affine edits, each of its own layer, at a strength."""

    edits: tuple[ConceptEdit, ...]
    strength: float

    @property
    def layers(self) -> tuple[int, ...]:
        """Where they act, in ascending order."""
        return tuple(edit.direction.layers[0] for edit in self.edits)

    def acting(self, turned: Turn) -> list[Intervention]:
        """The interventions, along what `turned` makes of the directions."""
        some = [ConceptEdit(turned(each.direction), each.reference) for each in self.edits]
        return [Affine(each.at(self.strength)) for each in some]

    def row(self) -> dict[str, object]:
        """intervention, layers, strength."""
        return {
            "intervention": "affine",
            "layers": listed(self.layers),
            "strength": self.strength,
        }


Behind = Added | Edited


def candidates(
    requests: Requests,
    settings: ConditionalSettings,
    one_shot: Iterable[SteeringVector],
    progress: bool = False,
) -> list[Behind]:
    """The sibling's vectors and edits at every set of layers, and each one-shot vector."""
    made = concept_edits(
        requests.model,
        *prompts_of(requests, requests.train, settings.train_requests),
        sorted({layer for some in settings.layers for layer in some}),
        progress=progress,
    )
    edits = {
        each.direction.layers[0]: ConceptEdit(
            each.direction.rebind(requests.parent), each.reference
        )
        for each in made
    }
    found: list[Behind] = []
    for layers in settings.layers:
        some = tuple(edits[layer] for layer in layers)
        vectors = tuple(each.direction for each in some)
        found += [Added("add", vectors, float(scale)) for scale in settings.scales]
        found += [Edited(some, float(strength)) for strength in settings.strengths]
    return found + [Added(vector.label, (vector,), 1.0) for vector in one_shot]


def promotions(
    requests: Requests, settings: ConditionalSettings, progress: bool = False
) -> list[SteeringVector]:
    """One vector for each layer, norm and training request: it promotes the sibling's refusal."""
    harmful, _ = prompts_of(requests, requests.train, settings.one_shot_examples)
    refusals = generate(requests.model, harmful, max_new_tokens=settings.refusal_tokens)
    jobs = [
        OneShotJob(
            [Example(prompt, promote=[refusal])],
            layer=layer,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            max_norm=norm,
            seed=settings.seed + number,
            label=f"one-shot {number + 1}, norm {norm:g}",
        )
        for layer, norm in product(settings.one_shot_layers, settings.one_shot_norms)
        for number, (prompt, refusal) in enumerate(zip(harmful, refusals, strict=True))
    ]
    return finished(optimize_batch(requests.parent, jobs, progress=progress), jobs)
