"""What may stand behind a gate: an aligned sibling's vectors or affine edits, or promoted refusals.

The sibling's difference of means is added (InferAligner) or used as an affine edit; a promoted
refusal is a vector optimized on the model itself, from one training request or a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

from jaxtyping import Float
from torch import Tensor

from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.judging import listed, prompts_of
from workbench.experiments.refusal.settings import ConditionalSettings
from workbench.methods import ConceptEdit, Example, OneShotJob, concept_edits, optimize_batch
from workbench.methods.one_shot import finished
from workbench.steering import Add, Affine, SteeringVector
from workbench.steering.interventions import Intervention

Turn = Callable[[SteeringVector], SteeringVector]


@dataclass(frozen=True, eq=False)
class Behind:
    """One way to make a model refuse: vectors that act together, each at its own layer.

    With `references`, as affine edits to `strength`; else they are added, times `strength`.
    """

    name: str
    vectors: tuple[SteeringVector, ...]
    strength: float
    references: tuple[Float[Tensor, " d_model"], ...] | None = None

    @property
    def lowest(self) -> int:
        """The first layer that it edits."""
        return min(vector.layers[0] for vector in self.vectors)

    def acting(self, turned: Turn) -> list[Intervention]:
        """The interventions, along what `turned` makes of the vectors."""
        vectors = [turned(vector) for vector in self.vectors]
        if self.references is None:
            return [Add(vector, self.strength) for vector in vectors]
        return [
            Affine(ConceptEdit(vector, reference).at(self.strength))
            for vector, reference in zip(vectors, self.references, strict=True)
        ]

    def row(self) -> dict[str, Any]:
        """intervention, layers, strength: no two of the candidates have the same."""
        layers = listed([vector.layers[0] for vector in self.vectors])
        return {"intervention": self.name, "layers": layers, "strength": self.strength}


def lowest_layers(settings: ConditionalSettings) -> list[int]:
    """The first layer of each kind of candidate that there will be."""
    siblings = [min(each) for each in settings.layers if settings.scales or settings.strengths]
    promoting = settings.promoting_layers if settings.promoting_norms else []
    return [*siblings, *(promoting if settings.promoting_requests else [])]


def candidates(
    requests: Requests,
    settings: ConditionalSettings,
    promoting: Iterable[SteeringVector],
    progress: bool = False,
) -> list[Behind]:
    """The vectors that promote a refusal, and the sibling's and its edits at each set of layers."""
    found = [Behind(vector.label, (vector,), 1.0) for vector in promoting]
    if not settings.layers:
        return found
    edits = {
        each.direction.layers[0]: each
        for each in concept_edits(
            requests.model,
            *prompts_of(requests, requests.train, settings.train_requests),
            sorted({layer for some in settings.layers for layer in some}),
            progress=progress,
        )
    }
    for layers in settings.layers:
        some = [edits[layer] for layer in layers]
        vectors = tuple(each.direction.rebind(requests.parent) for each in some)
        references = tuple(each.reference for each in some)
        found += [Behind("add", vectors, float(scale)) for scale in settings.scales]
        found += [
            Behind("affine", vectors, float(strength), references)
            for strength in settings.strengths
        ]
    return found


def promotions(
    requests: Requests, settings: ConditionalSettings, progress: bool = False
) -> list[SteeringVector]:
    """One vector for each layer, norm and number of training requests.

    It promotes the refusal and the end of the turn: without that the model goes on and answers.
    """
    refusal = settings.refusal + str(requests.parent.tokenizer.eos_token)
    asked, _ = prompts_of(requests, requests.train, max(settings.promoting_requests))
    jobs = [
        OneShotJob(
            [Example(prompt, promote=[refusal]) for prompt in asked[:count]],
            layer=layer,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            max_norm=norm,
            seed=settings.seed,
            label=f"promotion on {count}, norm {norm:g}",
        )
        for layer, norm, count in product(
            settings.promoting_layers, settings.promoting_norms, settings.promoting_requests
        )
    ]
    return finished(optimize_batch(requests.parent, jobs, progress=progress), jobs)
