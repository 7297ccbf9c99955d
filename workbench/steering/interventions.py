"""Interventions: what is done to the residual stream, where, and to which rows of a batch.

An intervention knows nothing of hooks being attached: asked for its edits on a model, it gives
each hook's name with a function of the stream there. `steer` and `generate` do the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

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
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector

HookFunction = Callable[..., "Tensor | None"]
Vectors = SteeringVector | Sequence["SteeringVector | None"]


@dataclass(frozen=True, eq=False)
class Edit:
    """One function at one hook: `apply(resid, hook=...)` gives the edited stream, or None.

    `rows` says which rows of the batch it acts on; None for every one.
    """

    hook: str
    apply: HookFunction
    positions: Positions
    rows: Bool[Tensor, " batch"] | None = None


@runtime_checkable
class Intervention(Protocol):
    """Anything that gives its edits, and can be cut down to some rows of a batch."""

    def edits(self, model: HookedModel) -> list[Edit]: ...
    def taking(self, rows: Sequence[int]) -> Intervention: ...


@dataclass(frozen=True, eq=False)
class _WithVector:
    """What interventions with a vector share: one for all rows, or one (or None) for each row."""

    vector: Vectors

    @property
    def vectors(self) -> tuple[SteeringVector | None, ...]:
        """The vectors, one for each row or a single one for all."""
        return (self.vector,) if isinstance(self.vector, SteeringVector) else tuple(self.vector)

    @property
    def by_row(self) -> bool:
        """Whether each row has its own vector."""
        return not isinstance(self.vector, SteeringVector)

    @property
    def row_count(self) -> int | None:
        """How many rows it is made for; None where it treats all rows alike."""
        return len(self.vectors) if self.by_row else None

    def _check(self, model: HookedModel) -> None:
        for vector in self._given():
            vector.check_model(model)

    def _given(self) -> list[SteeringVector]:
        """Its vectors, without the rows that have none."""
        return [vector for vector in self.vectors if vector is not None]

    def _present(self, model: HookedModel, layer: int | None) -> Bool[Tensor, " batch"] | None:
        """Rows that have a vector (of this layer, where one is asked for)."""
        if not self.by_row:
            return None
        has = [v is not None and (layer is None or layer in v.layers) for v in self.vectors]
        return torch.tensor(has, device=device_of(model))

    def _values(self, model: HookedModel) -> Float[Tensor, "*rows d_model"]:
        """(d_model) for one vector, (batch, 1, d_model) for one a row; ones where it has none."""
        device = device_of(model)
        if not self.by_row:
            return self.vectors[0].values.to(device)  # type: ignore[union-attr]
        blank = torch.ones_like(self._given()[0].values)
        rows = [blank if vector is None else vector.values for vector in self.vectors]
        return torch.stack(rows)[:, None].to(device)

    def _layers(self) -> list[int]:
        return sorted({layer for vector in self._given() for layer in vector.layers})

    def _taken(self, rows: Sequence[int]) -> Vectors:
        return tuple(self.vectors[i] for i in rows) if self.by_row else self.vector


@dataclass(frozen=True, eq=False)
class Add(_WithVector):
    """`x -> x + scale·v` at the vector's layer; several vectors or scales go row by row."""

    scale: int | float | Sequence[int | float] = 1.0
    positions: Positions = Positions.all()

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a layer."""
        self._check(model)
        if not self._given():
            return []
        scaled = self._values(model) * _by_row(self.scale, super().row_count, model)
        positions = Positions.of(self.positions).bound_to(model)
        return [
            Edit(resid_pre(i), _with(operators.add, scaled), positions, self._present(model, i))
            for i in self._layers()
        ]

    @property
    def row_count(self) -> int | None:
        """How many rows it is made for; None where it treats all rows alike."""
        return super().row_count or _count(self.scale)

    def taking(self, rows: Sequence[int]) -> Add:
        """The same for some rows of a batch."""
        return replace(
            self,
            vector=self._taken(rows),
            scale=_taken_numbers(self.scale, rows),
            positions=Positions.of(self.positions).taking(rows),
        )


@dataclass(frozen=True, eq=False)
class Clamp(_WithVector):
    """`x -> x - v̂v̂ᵀx + value·v`: the component along v becomes `value` times its norm."""

    value: int | float | Sequence[int | float] = 1.0
    positions: Positions = Positions.all()

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a layer."""
        self._check(model)
        _refuse_zero(self._given())
        if not self._given():
            return []
        values = _by_row(self.value, super().row_count, model)
        apply = _with(operators.clamp, self._values(model), values)
        positions = Positions.of(self.positions).bound_to(model)
        return [
            Edit(resid_pre(i), apply, positions, self._present(model, i)) for i in self._layers()
        ]

    @property
    def row_count(self) -> int | None:
        """How many rows it is made for; None where it treats all rows alike."""
        return super().row_count or _count(self.value)

    def taking(self, rows: Sequence[int]) -> Clamp:
        """The same for some rows of a batch."""
        return replace(
            self,
            vector=self._taken(rows),
            value=_taken_numbers(self.value, rows),
            positions=Positions.of(self.positions).taking(rows),
        )


@dataclass(frozen=True, eq=False)
class Ablate(_WithVector):
    """`x -> x - v̂v̂ᵀx`: nothing of the direction is left.

    With `layers=None` it is taken out of everything that is written to the residual stream, the
    embedding and the last block included, so that no part of the model ever reads it. With
    `layers` it is taken out of `resid_pre` of those layers only: later blocks may write it again.
    """

    layers: int | Sequence[int] | None = None
    positions: Positions = Positions.all()

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a write to the stream, or a layer."""
        self._check(model)
        _refuse_zero(self._given())
        if not self._given():
            return []
        if self.layers is None:
            hooks = stream_writes(model)
        else:
            listed = [self.layers] if isinstance(self.layers, int) else self.layers
            hooks = [resid_pre(check_layer(model, layer)) for layer in listed]
        apply = _with(operators.ablate, self._values(model))
        positions = Positions.of(self.positions).bound_to(model)
        return [Edit(hook, apply, positions, self._present(model, None)) for hook in hooks]

    def taking(self, rows: Sequence[int]) -> Ablate:
        """The same for some rows of a batch."""
        return replace(
            self,
            vector=self._taken(rows),
            positions=Positions.of(self.positions).taking(rows),
        )


@dataclass(frozen=True, eq=False)
class Custom:
    """A function of one's own: `fn(resid, hook)` gives the edited stream, or None for no edit.

    It runs at `resid_pre` of each of `layers` (every layer if None), or at the hook named. Only
    its values at `positions` are kept.
    """

    fn: HookFunction
    layers: int | Sequence[int] | None = None
    hook: str | None = None
    positions: Positions = Positions.all()

    def edits(self, model: HookedModel) -> list[Edit]:
        """One edit a hook."""
        if self.hook is not None:
            hook_point(model, self.hook)
            hooks = [self.hook]
        else:
            layers = range(n_layers(model)) if self.layers is None else self.layers
            listed = [layers] if isinstance(layers, int) else layers
            hooks = [resid_pre(check_layer(model, layer)) for layer in listed]
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
    is TransformerLens's own way of saying where. Raises TypeError for a bare vector: it does not
    say what to do with it.
    """
    if isinstance(steering, SteeringVector):
        raise TypeError("a vector alone says not what to do with it: use Add(vector), or Clamp")
    if isinstance(steering, Intervention):
        return [steering]
    if _is_pair(steering):
        return [Custom(steering[1], hook=steering[0])]
    if callable(steering):
        return [Custom(steering)]
    if not isinstance(steering, Iterable):
        raise TypeError(f"{steering!r} is no intervention: see Add, Ablate, Clamp, Custom")
    return [one for item in steering for one in as_interventions(item)]


def rows_of(interventions: Iterable[Intervention]) -> int | None:
    """How many rows the interventions that go row by row are made for; None if none does."""
    each = (i.row_count for i in interventions if isinstance(i, _WithVector))
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


def _with(operator: Callable[..., Tensor], *args: Any) -> HookFunction:
    """The operator as a hook function."""
    return partial(_apply, operator, args)


def _apply(operator: Callable[..., Tensor], args: tuple, resid: Tensor, hook: Any) -> Tensor:
    return operator(resid, *args)


def _by_row(
    number: int | float | Sequence[int | float], rows: int | None, model: HookedModel
) -> float | Float[Tensor, "rows 1 1"]:
    """A number as it is; several as a column, one for each row."""
    if isinstance(number, int | float):
        return _finite(float(number))
    numbers = [_finite(float(n)) for n in number]
    if rows is not None and len(numbers) != rows:
        raise ValueError(f"{len(numbers)} scales for {rows} rows (axis batch)")
    return torch.tensor(numbers, device=device_of(model))[:, None, None]


def _count(number: int | float | Sequence[int | float]) -> int | None:
    return None if isinstance(number, int | float) else len(number)


def _finite(number: int | float) -> float:
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"a scale must be a finite number, got {number}")
    return number


def _taken_numbers(
    number: int | float | Sequence[int | float], rows: Sequence[int]
) -> float | Sequence[int | float]:
    return number if isinstance(number, int | float) else tuple(number[i] for i in rows)


def _refuse_zero(vectors: Iterable[SteeringVector]) -> None:
    if any(vector.norm == 0 for vector in vectors):
        raise ValueError("the zero vector has no direction to clamp or ablate")
