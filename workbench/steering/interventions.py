"""Interventions: what is done to the residual stream, where, and to which rows of a batch.

An intervention knows nothing of hooks being attached: asked for its edits on a model, it gives
each hook's name with a function of the stream there. `steer` and `generate` do the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.models.hooked import (
    HookedModel,
    check_layer,
    device_of,
    hook_point,
    n_layers,
    resid_pre,
    stream_writes,
)
from workbench.steering import operators
from workbench.steering.artifact import Artifact
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector
from workbench.steering.window import TokenWindow

HookFunction = Callable[..., "Tensor | None"]
Vectors = SteeringVector | Sequence[SteeringVector | None]
Numbers = int | float | Sequence[int | float]
Made = TypeVar("Made", bound=Artifact)


@dataclass(frozen=True, eq=False)
class Edit:
    """One function at one hook: `apply(resid, hook=...)` gives the edited stream, or None.

    `rows` says which rows of the batch it acts on; None for every one. `when` says so too, but as
    the pass runs. `reads` sees the stream and the pass's window first.
    """

    hook: str
    apply: HookFunction
    positions: Positions
    rows: Bool[Tensor, " batch"] | None = None
    when: Callable[[], Tensor] | None = None
    reads: Callable[[Tensor, TokenWindow], None] | None = None


@runtime_checkable
class Intervention(Protocol):
    """Anything that gives its edits, and can be cut down to some rows of a batch."""

    def edits(self, model: HookedModel) -> list[Edit]: ...
    def taking(self, rows: Sequence[int]) -> Intervention: ...


class ByRow(Generic[Made]):
    """What interventions share that act with something made: one for all rows, or one for each.

    A row may have None. A kind says what it does (`_function`) and, if not at the layers of what
    it acts with, where (`_places`). Its strength may be one number, or one for each row.
    """

    positions: Positions | Tensor
    acts_with: ClassVar[str] = "vector"  # the field that holds it
    strength: ClassVar[str | None] = None  # the field that holds how strongly

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a hook. Raises ValueError for a vector or map that does not fit the model."""
        if not self._given:
            return []
        for made in self._given:
            made.check_model(model)
        function = self._function(model)
        positions = Positions.of(self.positions).bound_to(model)
        return [
            Edit(hook, function, positions, self._rows_at(layer, model))
            for hook, layer in self._places(model)
        ]

    def taking(self, rows: Sequence[int]) -> Intervention:
        """The same for some rows of a batch."""
        changes: dict[str, Any] = {"positions": Positions.of(self.positions).taking(rows)}
        if self.by_row:
            changes[self.acts_with] = tuple(self.each[i] for i in rows)
        if self.strength is not None and not isinstance(self._numbers, int | float):
            changes[self.strength] = tuple(self._numbers[i] for i in rows)
        return replace(self, **changes)  # type: ignore[type-var]

    @property
    def each(self) -> tuple[Made | None, ...]:
        """What it acts with: one for each row, or a single one for all."""
        held = getattr(self, self.acts_with)
        return tuple(held) if self.by_row else (held,)

    @property
    def by_row(self) -> bool:
        """Whether each row has its own."""
        return not isinstance(getattr(self, self.acts_with), Artifact)

    @property
    def row_count(self) -> int | None:
        """How many rows it is made for; None where it treats all rows alike."""
        if self.by_row:
            return len(self.each)
        return None if isinstance(self._numbers, int | float) else len(self._numbers)

    @property
    def _numbers(self) -> Numbers:
        return 1.0 if self.strength is None else getattr(self, self.strength)

    @property
    def _given(self) -> list[Made]:
        """What it acts with, without the rows that have none."""
        return [made for made in self.each if made is not None]

    def _function(self, model: HookedModel) -> HookFunction:
        raise TypeError("use Add, Clamp, Ablate or Affine")

    def _places(self, model: HookedModel) -> list[tuple[str, int | None]]:
        """Each hook, with the layer whose rows act there (None: every row that has one)."""
        layers = sorted({layer for made in self._given for layer in made.layers})
        return [(resid_pre(layer), layer) for layer in layers]

    def _rows_at(self, layer: int | None, model: HookedModel) -> Bool[Tensor, " batch"] | None:
        if not self.by_row:
            return None
        has = [m is not None and (layer is None or layer in m.layers) for m in self.each]
        return torch.tensor(has, device=device_of(model))

    def _strengths(self, model: HookedModel) -> int | float | Float[Tensor, "rows 1 1"]:
        """A number as it is; several as a column, one for each row."""
        if isinstance(self._numbers, int | float):
            return finite(self._numbers)
        numbers = [float(finite(number)) for number in self._numbers]
        if len(numbers) != self.row_count:
            raise ValueError(
                f"{len(numbers)} {self.strength}s for {self.row_count} rows (axis batch)"
            )
        return torch.tensor(numbers, device=device_of(model))[:, None, None]


class _WithVector(ByRow[SteeringVector]):
    """What the kinds that act with a vector share."""

    def _values(self, model: HookedModel) -> Float[Tensor, "*rows d_model"]:
        """(d_model) for one vector, (batch, 1, d_model) for one a row; ones where it has none."""
        if not self.by_row:
            return self._given[0].values.to(device_of(model))
        blank = torch.ones_like(self._given[0].values)
        rows = [blank if vector is None else vector.values for vector in self.each]
        return torch.stack(rows)[:, None].to(device_of(model))

    def _directions(self, model: HookedModel) -> Float[Tensor, "*rows d_model"]:
        """The values. Raises ValueError if one of them has no direction."""
        if any(vector.norm == 0 for vector in self._given):
            raise ValueError("the zero vector has no direction to clamp or ablate")
        return self._values(model)


@dataclass(frozen=True, eq=False)
class Add(_WithVector):
    """`x -> x + scale·v` at the vector's layer; several vectors or scales go row by row."""

    vector: Vectors
    scale: Numbers = 1.0
    positions: Positions | Tensor = Positions.all()
    strength = "scale"

    def _function(self, model: HookedModel) -> HookFunction:
        scaled = self._values(model) * self._strengths(model)
        return lambda resid, hook: operators.add(resid, scaled)


@dataclass(frozen=True, eq=False)
class Clamp(_WithVector):
    """`x -> x - v̂v̂ᵀx + value·v`: the component along v becomes `value` times its norm."""

    vector: Vectors
    value: Numbers = 1.0
    positions: Positions | Tensor = Positions.all()
    strength = "value"

    def _function(self, model: HookedModel) -> HookFunction:
        vector, value = self._directions(model), self._strengths(model)
        return lambda resid, hook: operators.clamp(resid, vector, value)


@dataclass(frozen=True, eq=False)
class Ablate(_WithVector):
    """`x -> x - v̂v̂ᵀx`: nothing of the direction is left.

    With `layers=None` it is taken out of everything that is written to the residual stream, the
    embedding and the last block included, so that no part of the model ever reads it. With
    `layers` it is taken out of `resid_pre` of those layers only: later blocks may write it again.
    """

    vector: Vectors
    layers: int | Sequence[int] | None = None
    positions: Positions | Tensor = Positions.all()

    def _function(self, model: HookedModel) -> HookFunction:
        vector = self._directions(model)
        return lambda resid, hook: operators.ablate(resid, vector)

    def _places(self, model: HookedModel) -> list[tuple[str, int | None]]:
        if self.layers is None:
            return [(hook, None) for hook in stream_writes(model)]
        return [(hook, None) for hook in _inputs_of(model, self.layers)]


@dataclass(frozen=True, eq=False)
class Custom:
    """A function of one's own: `fn(resid, hook)` gives the edited stream, or None for no edit.

    It runs at `resid_pre` of each of `layers` (every layer if None), or at the hook named. Only
    its values at `positions` are kept.
    """

    fn: HookFunction
    layers: int | Sequence[int] | None = None
    hook: str | None = None
    positions: Positions | Tensor = Positions.all()

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a hook."""
        if self.hook is not None:
            hook_point(model, self.hook)
            hooks = [self.hook]
        else:
            hooks = _inputs_of(
                model, range(n_layers(model)) if self.layers is None else self.layers
            )
        positions = Positions.of(self.positions).bound_to(model)
        return [Edit(hook, self.fn, positions) for hook in hooks]

    def taking(self, rows: Sequence[int]) -> Custom:
        """The same for some rows of a batch; the function is given those rows only."""
        return replace(self, positions=Positions.of(self.positions).taking(rows))


# One of these, or any nesting of lists of them.
Steering = Intervention | HookFunction | tuple[str, HookFunction] | Iterable[Any]


def as_interventions(steering: Any) -> list[Intervention]:
    """One intervention or several, as a list.

    A plain function `fn(resid, hook)` is called at every `resid_pre`; a pair `(hook name, fn)`
    is TransformerLens's own way of saying where. Raises TypeError for a bare vector or map: it
    does not say what to do with it.
    """
    if isinstance(steering, Artifact):
        raise TypeError(
            "a vector or map alone says not what to do with it: use Add(vector), Clamp(vector) "
            "or Affine(map)"
        )
    if isinstance(steering, Intervention):
        return [steering]
    if _is_pair(steering):
        return [Custom(steering[1], hook=steering[0])]
    if callable(steering):
        return [Custom(steering)]
    if not isinstance(steering, Iterable):
        raise TypeError(f"{steering!r} is no intervention: see Add, Ablate, Affine, Clamp, Custom")
    return [one for item in steering for one in as_interventions(item)]


def rows_of(interventions: Iterable[Intervention]) -> int | None:
    """How many rows the interventions that go row by row are made for; None if none does."""
    each = (getattr(one, "row_count", None) for one in interventions)
    counts = {count for count in each if count is not None}
    if len(counts) > 1:
        raise ValueError(f"interventions for different numbers of rows: {sorted(counts)}")
    return next(iter(counts), None)


def _is_pair(steering: Any) -> bool:
    return (
        isinstance(steering, tuple)
        and len(steering) == 2
        and isinstance(steering[0], str)
        and callable(steering[1])
    )


def _inputs_of(model: HookedModel, layers: int | Sequence[int]) -> list[str]:
    """The hooks at the input of some layers. Raises IndexError for one that is not there."""
    listed = [layers] if isinstance(layers, int) else layers
    return [resid_pre(check_layer(model, layer)) for layer in listed]


def finite(number: int | float) -> int | float:
    """The number itself. Raises ValueError for NaN and infinity."""
    if not math.isfinite(number):
        raise ValueError(f"a strength must be a finite number, got {number}")
    return number
