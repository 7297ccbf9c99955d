"""Conditional steering: an intervention that acts only on the rows where a condition holds.

The condition is read from the stream while the prompt runs, once a row, and holds for the whole
answer: a projection or a cosine with a direction (a probe's, a refusal direction), against a
threshold. Conditional activation steering (CAST, Lee et al. 2024, arXiv 2409.05907) gates by a
cosine, InferAligner (Wang et al. 2024, arXiv 2401.11206) by a projection.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from workbench.models.hooked import HookedModel, check_layer, resid_pre
from workbench.steering.activations import LAST_TOKEN
from workbench.steering.interventions import (
    Edit,
    Steering,
    as_interventions,
    finite,
    rows_of,
)
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector
from workbench.steering.window import TokenWindow


@dataclass(frozen=True, eq=False)
class Condition:
    """Whether a prompt lies beyond a threshold along a direction.

    The stream at the input of the vector's layer, averaged over `positions` of the prompt, is
    projected on the unit vector, or its cosine with the vector taken. `above` says on which side
    of the threshold the condition holds. Raises ValueError for a vector of several layers or of
    norm zero, and a threshold that is not finite.
    """

    vector: SteeringVector
    threshold: float | int
    measure: Literal["projection", "cosine"] = "projection"
    above: bool = True
    positions: Positions = LAST_TOKEN

    def __post_init__(self) -> None:
        finite(self.threshold)
        if not isinstance(self.vector.layer, int) or not self.vector.norm:
            raise ValueError(f"a condition needs a vector of one layer that is not zero: {self}")
        if self.measure not in ("projection", "cosine"):
            raise ValueError(f'measure must be "projection" or "cosine", got {self.measure!r}')

    def value(self, resid: Float[Tensor, "batch d_model"]) -> Float[Tensor, " batch"]:
        """What is held against the threshold."""
        unit = (self.vector.values / self.vector.norm).to(resid.device)
        resid = resid.to(unit.dtype)
        along = resid @ unit
        return along / resid.norm(dim=-1) if self.measure == "cosine" else along

    def holds(self, resid: Float[Tensor, "batch d_model"]) -> Bool[Tensor, " batch"]:
        """Whether it holds for each row."""
        value = self.value(resid)
        return value > self.threshold if self.above else value < self.threshold


@dataclass(frozen=True, eq=False)
class When:
    """Act only on rows whose prompt meets the condition; any intervention, or several.

    Raises ValueError, when it is attached, for an intervention that edits what stands before the
    condition's layer (it would act before anything is decided), and for none at all.
    """

    condition: Condition
    intervention: Steering

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit that reads, then the intervention's own, gated."""
        self.condition.vector.check_model(model)
        layer = check_layer(model, int(self.condition.vector.layers[0]))
        inner = [edit for one in as_interventions(self.intervention) for edit in one.edits(model)]
        if not inner:
            raise ValueError("a gate without an intervention does nothing: give it one")
        for edit in inner:
            if edit.reads is None and _layer_of(edit.hook) < layer:
                raise ValueError(
                    f"the condition is read at layer {layer}, and {edit.hook} is edited before: "
                    "read it at an earlier layer, or edit later ones only"
                )
        gate = _Gate(self.condition, self.condition.positions.bound_to(model))
        reading = Edit(resid_pre(layer), _nothing, Positions.all(), reads=gate.read)
        return [reading, *(replace(edit, when=gate.with_also(edit.when)) for edit in inner)]

    def taking(self, rows: Sequence[int]) -> When:
        """The same for some rows of a batch."""
        positions = self.condition.positions.taking(rows)
        return When(
            replace(self.condition, positions=positions),
            [one.taking(rows) for one in as_interventions(self.intervention)],
        )

    @property
    def positions(self) -> Positions:
        """All positions that its interventions edit."""
        return Positions(
            "either",
            parts=tuple(
                Positions.of(each)
                for one in as_interventions(self.intervention)
                if (each := getattr(one, "positions", None)) is not None
            ),
        )

    @property
    def row_count(self) -> int | None:
        """How many rows the intervention is made for; None where it treats all alike."""
        return rows_of(as_interventions(self.intervention))


class _Gate:
    """Remembers, for the texts that are running, on which rows the condition holds."""

    def __init__(self, condition: Condition, positions: Positions):
        self.condition = condition
        self.positions = positions
        self.open: Bool[Tensor, " batch"] | None = None

    def read(self, resid: Float[Tensor, "batch pos d_model"], window: TokenWindow) -> None:
        """Decide, if this pass holds the positions that decide."""
        prompt = (window.index >= 0) & (window.index < window.prompt_lengths[:, None])
        if not bool(prompt.any()):
            return  # a pass of the completion: what was decided stands
        mask = self.positions.within(window)
        mask = prompt if mask is None else mask & prompt
        counted = mask.sum(-1)
        if not bool(counted.all()):
            row = int((counted == 0).nonzero()[0])
            raise ValueError(
                f"the condition's positions choose no token of the prompt in row {row}: a gate "
                "needs one in every row"
            )
        weights = mask.to(resid.device, resid.dtype)[..., None]
        self.open = self.condition.holds((resid * weights).sum(1) / weights.sum(1))

    def with_also(self, other: Callable[[], Tensor] | None) -> Callable[[], Tensor]:
        """This gate, and another where there is one."""

        def both() -> Bool[Tensor, " batch"]:
            if self.open is None:
                raise RuntimeError(
                    "a gated intervention runs before its prompt was seen: steer from the prompt on"
                )
            return self.open if other is None else self.open & other()

        return both


def _nothing(resid: Tensor, hook: object) -> None:
    """The edit of an edit that only reads."""


def _layer_of(hook: str) -> int:
    """The block that a hook belongs to: before all of them the embeddings', behind all the rest."""
    parts = hook.split(".")
    if parts[0] == "blocks":
        return int(parts[1])
    return -1 if "embed" in parts[0] and parts[0] != "unembed" else sys.maxsize
