"""What one optimization is to do: its examples and every setting, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.methods.one_shot.example import Example
from workbench.models.hooked import HookedModel, check_layer, d_model
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class OneShotJob:
    """One vector to optimize.

    Args:
        examples: one or more; their completions' losses are summed.
        layer: an index, or several that share one vector, with the true gradient.
        steps: exactly that many updates, unless a target stops it earlier.
        learning_rate: Adam's, with its default betas.
        coldness: inverse temperature on the logits inside the loss; the paper uses 0.7.
        start: a tensor or vector to start from; else a Gaussian direction of norm `start_norm`.
        start_norm: the norm of the start; 1 for a random one, as given for a `start`.
        max_norm: after each step a longer vector is scaled back to this norm.
        target_loss: in nats; training stops once the loss has been at or under it for `patience`
            steps in a row. `Example.target_losses` take its place for their completions.
        target_of: what `target_loss` is compared with: the total, or each completion's loss.
        satisfice: minimize `(loss - target)²` of each completion instead of its loss, so that it
            is approached from either side; stops within `tolerance` of every target.
        intervention: how the vector acts while it is trained: "add" or "clamp".
        clamp_value: the value of the clamp.
        positions: the tokens it acts on; an example may say otherwise.
        keep: return the iterate of the lowest objective, or the last one.
        seed: decides the random start.
    """

    examples: Sequence[Example]
    layer: int | Sequence[int]
    steps: int = 50
    learning_rate: int | float = 0.1
    coldness: int | float = 0.7
    start: Tensor | SteeringVector | None = None
    start_norm: int | float | None = None
    max_norm: int | float | None = None
    target_loss: int | float | None = None
    target_of: Literal["total", "completion"] = "total"
    patience: int = 1
    satisfice: bool = False
    tolerance: int | float = 0.05
    intervention: Literal["add", "clamp"] = "add"
    clamp_value: int | float = 1.0
    positions: Positions | Tensor = Positions.all()
    keep: Literal["best", "last"] = "best"
    seed: int = 0
    label: str = ""

    def __post_init__(self) -> None:
        given = self.examples
        examples = (given,) if isinstance(given, Example) else tuple(given)
        if not examples or not all(isinstance(example, Example) for example in examples):
            raise ValueError("examples must hold at least one Example")
        object.__setattr__(self, "examples", examples)
        object.__setattr__(self, "positions", Positions.of(self.positions))
        self._check_numbers()
        self._check_choices()
        if self.satisfice and any(target is None for target in self.targets):
            raise ValueError("satisfice needs a target loss for every completion")

    def _check_numbers(self) -> None:
        for name in ("learning_rate", "coldness", "start_norm", "max_norm", "tolerance"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if self.steps < 0 or self.patience < 1:
            raise ValueError(
                f"steps must be 0 or more and patience 1 or more, got {self.steps}, {self.patience}"
            )
        target = self.target_loss
        if target is not None and not (math.isfinite(target) and target >= 0):
            raise ValueError(f"target_loss must be 0 nats or more, got {target}")

    def _check_choices(self) -> None:
        choices = {
            "target_of": ("total", "completion"),
            "intervention": ("add", "clamp"),
            "keep": ("best", "last"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that the vector acts on."""
        return (self.layer,) if isinstance(self.layer, int) else tuple(self.layer)

    @property
    def by_completion(self) -> bool:
        """Whether targets are compared completion by completion."""
        own = any(example.target_losses is not None for example in self.examples)
        return own or self.satisfice or self.target_of == "completion"

    @property
    def targets(self) -> tuple[int | float | None, ...]:
        """The target loss of every completion, in the order of its rows."""
        found: list[int | float | None] = []
        for example in self.examples:
            found += example.target_losses or [self.target_loss] * len(example.completions)
        return tuple(found)

    def first_vector(self, model: HookedModel) -> Float[Tensor, " d_model"]:
        """Where the descent starts, float32 on the CPU.

        Raises ValueError for a start of the wrong width or with values that are not finite,
        IndexError for a layer that the model does not have.
        """
        for layer in self.layers:
            check_layer(model, layer)
        width = d_model(model)
        if self.start is None:
            generator = torch.Generator().manual_seed(self.seed)
            start = torch.randn(width, generator=generator)
            start *= (self.start_norm or 1.0) / start.norm()
        else:
            given = self.start
            values = given.values if isinstance(given, SteeringVector) else torch.as_tensor(given)
            start = SteeringVector(values, self.layers).values
            if start.numel() != width:
                raise ValueError(
                    f"start is {start.numel()} wide, the model's residual stream is {width} wide "
                    "(axis d_model)"
                )
            if self.start_norm is not None:
                if start.norm() == 0:
                    raise ValueError("a start of zeros cannot be given a norm")
                start *= self.start_norm / start.norm()
        if self.intervention == "clamp" and start.norm() == 0:
            raise ValueError("a clamp needs a start that is not zero: it has no direction")
        return within_norm(start, self.max_norm)

    def to_dict(self) -> dict[str, Any]:
        """The whole configuration as plain JSON; examples stand apart in the provenance."""
        apart = {"examples", "start", "positions", "layer", "label"}
        config = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        start = "random" if self.start is None else "given"
        return {**config, "layer": list(self.layers), "start": start}


def within_norm(
    vector: Float[Tensor, " d_model"], max_norm: int | float | None
) -> Float[Tensor, " d_model"]:
    """The vector itself, or scaled back to `max_norm` where it is longer."""
    norm = float(vector.norm())
    return vector if max_norm is None or norm <= max_norm else vector * (max_norm / norm)
