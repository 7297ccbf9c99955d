"""Activation addition: the difference of one pair of prompts, added at the first positions.

Turner et al. 2023 (arXiv 2308.10248). Two short prompts ("Love" and "Hate") of as many tokens are
read at one layer; at each position i the difference h₊[i] - h₋[i] is added, scaled, to position i
of whatever prompt is steered. No optimization, no set of contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.models.hooked import HookedModel
from workbench.models.text import prompt_ids
from workbench.steering.activations import activations
from workbench.steering.interventions import Add
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet


@dataclass(frozen=True, eq=False)
class FrontVectors:
    """A vector for each of the first positions; `places[i]` is where `vectors[i]` is added."""

    vectors: VectorSet
    places: tuple[int, ...]

    def steering(self, scale: int | float = 1.0, start: int = 0) -> list[Add]:
        """The additions, one a position, from the prompt's front or so many tokens after it.

        In a chat format a message begins after tokens that all prompts share: with `start` at
        them the pair is added to the message.
        """
        return [
            Add(vector, scale, Positions.span(start + place, start + place + 1))
            for vector, place in zip(self.vectors, self.places, strict=True)
        ]


def act_add(
    model: HookedModel, positive: str, negative: str, layer: int, *, label: str | None = None
) -> FrontVectors:
    """The differences of one pair; a position where both are the same (a BOS) has none.

    Raises ValueError where the prompts have different numbers of tokens, or do not differ.
    """
    lengths = [len(prompt_ids(model, text)) for text in (positive, negative)]
    if lengths[0] != lengths[1]:
        raise ValueError(
            f"{positive!r} has {lengths[0]} tokens and {negative!r} {lengths[1]}: the pair needs "
            "as many of each (the paper pads the shorter one with spaces)"
        )
    each = [Positions.span(i, i + 1) for i in range(lengths[0])]
    read = activations(model, [positive, negative], layers=[layer], positions=each)
    differences = (read[0] - read[1])[0]
    places = tuple(i for i in range(len(each)) if bool(differences[i].any()))
    if not places:
        raise ValueError(f"{positive!r} and {negative!r} do not differ at layer {layer}")
    name = label or f"“{positive.strip()}” - “{negative.strip()}”"
    vectors = VectorSet(
        SteeringVector(
            differences[place],
            layer,
            Provenance.of(
                "activation-addition",
                model,
                positions=str(each[place]),
                config={"place": place},
                examples=({"positive": positive, "negative": negative},),
            ),
            f"{name}, layer {layer}, position {place}",
        )
        for place in places
    )
    return FrontVectors(vectors, places)
