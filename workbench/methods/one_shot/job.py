"""What one optimization is to do: its examples and every setting, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torch import Tensor

from workbench.methods.one_shot.balance import Balance
from workbench.methods.one_shot.change import LargestChange
from workbench.methods.one_shot.constraint import LeastNorm
from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.noise import Noise
from workbench.methods.one_shot.parameters import Shape, Way
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector

_POSITIVE = (
    "learning_rate",
    "coldness",
    "start_norm",
    "max_norm",
    "max_row_norm",
    "tolerance",
    "floor",
    "least_change",
)


@dataclass(frozen=True, eq=False)
class OneShotJob:
    """One vector to optimize.

    Args:
        examples: one or more; their completions' losses are summed.
        layer: an index, or several that share one vector, with the true gradient.
        one_a_layer: with several layers, train a vector for each.
        steps: exactly that many updates, unless a target stops it earlier.
        optimizer: "adam", with its default betas, or "lbfgs" (lbfgs.py).
        learning_rate: Adam's.
        coldness: inverse temperature on the logits inside the loss; the paper uses 0.7.
        start: a tensor or vector to start from; "steepest" for the direction of steepest descent
            at zero, with the best of a few norms; "random" for a Gaussian direction of norm
            `start_norm`. By default random for Adam, steepest for L-BFGS.
        start_norm: the norm of the start; 1 for a random one, as given for a `start`.
        max_norm: after each step a longer vector is scaled back to this norm.
        suppression: "complement" (1 - P of each token), or "log_prob" down to `-floor` nats.
        target_loss: in nats; training stops once the loss has been at or under it for `patience`
            steps in a row. `Example.target_losses` take its place for their completions, and must
            be met in the same step.
        target_of: what `target_loss` is compared with: the total, or each completion's loss.
        satisfice: minimize `(loss - target)²` of each completion instead of its loss, so that it
            is approached from either side; stops within `tolerance` of every target.
        least_change: stop once the objective changes by less than this in a step (the paper's code
            uses 1e-6).
        reduction: "sum" or "mean" of the completions' losses, as far as it is minimized.
        per_token: minimize each completion's loss divided by its number of tokens.
        batch_size: completions drawn for each step, without repeats until all have been drawn.
        intervention: how the vector acts while it is trained: "add", "clamp", "affine"
            (`x + Mx + v`), or "matrix" (`x + Mx`).
        clamp_value: the value of the clamp.
        rank, max_row_norm: of the affine map's matrix, and the bound on its factors' rows.
        positions: the tokens it acts on; an example may say otherwise.
        noise: draws around the vector whose losses are minimized (noise.py).
        constraint: find the vector of least norm that keeps its targets (constraint.py).
        change: make the largest change at a later layer instead (change.py).
        balance: penalize what differs between two groups of examples (balance.py).
        keep: return the iterate of the lowest objective, or the last one.
        orthogonal_to: vectors that every trained vector is kept orthogonal to.
        history: keep every step's vector in the result.
        seed: decides the random start, the batches and the noise.
    """

    examples: Sequence[Example]
    layer: int | Sequence[int]
    steps: int = 50
    learning_rate: int | float = 0.1
    coldness: int | float = 0.7
    start: Tensor | SteeringVector | Literal["random", "steepest"] | None = None
    start_norm: int | float | None = None
    max_norm: int | float | None = None
    target_loss: int | float | None = None
    target_of: Literal["total", "completion"] = "total"
    patience: int = 1
    satisfice: bool = False
    tolerance: int | float = 0.05
    intervention: Way = "add"
    clamp_value: int | float = 1.0
    positions: Positions | Tensor = Positions.all()
    keep: Literal["best", "last"] = "best"
    seed: int = 0
    label: str = ""
    optimizer: Literal["adam", "lbfgs"] = "adam"
    one_a_layer: bool = False
    suppression: Literal["complement", "log_prob"] = "complement"
    floor: int | float = 20.0
    least_change: int | float | None = None
    reduction: Literal["sum", "mean"] = "sum"
    per_token: bool = False
    batch_size: int | None = None
    rank: int = 1
    max_row_norm: int | float = 2.0
    noise: Noise | None = None
    constraint: LeastNorm | None = None
    change: LargestChange | None = None
    balance: Balance | None = None
    orthogonal_to: Sequence[SteeringVector] = ()
    history: bool = False

    def __post_init__(self) -> None:
        given = self.examples
        examples = (given,) if isinstance(given, Example) else tuple(given)
        if not examples or not all(isinstance(example, Example) for example in examples):
            raise ValueError("examples must hold at least one Example")
        object.__setattr__(self, "examples", examples)
        object.__setattr__(self, "positions", Positions.of(self.positions))
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layer must name at least one layer, none twice; got {self.layer}")
        self._check_numbers()
        self._check_choices()
        self._check_together()

    def _check_numbers(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if self.steps < 0 or self.patience < 1 or self.rank < 1:
            raise ValueError(
                "steps must be 0 or more, patience and rank 1 or more; got "
                f"{self.steps}, {self.patience}, {self.rank}"
            )
        target = self.target_loss
        if target is not None and not (math.isfinite(target) and target >= 0):
            raise ValueError(f"target_loss must be 0 nats or more, got {target}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")

    def _check_choices(self) -> None:
        choices = {
            "target_of": ("total", "completion"),
            "intervention": ("add", "clamp", "affine", "matrix"),
            "keep": ("best", "last"),
            "optimizer": ("adam", "lbfgs"),
            "suppression": ("complement", "log_prob"),
            "reduction": ("sum", "mean"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        if isinstance(self.start, str) and self.start not in ("random", "steepest"):
            raise ValueError(f"start is a vector, 'random' or 'steepest', got {self.start!r}")

    def _check_together(self) -> None:
        if self.satisfice and any(target is None for target in self.targets):
            raise ValueError("satisfice needs a target loss for every completion")
        if self.one_a_layer and self.intervention in ("affine", "matrix"):
            raise ValueError(f"one_a_layer trains vectors; {self.intervention!r} trains one map")
        if self.start == "steepest" and self.intervention != "add":
            raise ValueError("a steepest start is a vector to add: it is no start for the others")
        if self.optimizer == "lbfgs":
            for name in ("batch_size", "noise", "constraint"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"L-BFGS needs the same objective at every step: {name} works with 'adam'"
                    )
        if self.batch_size is not None and (self.constraint or self.by_completion):
            raise ValueError("targets of single completions need every completion at every step")
        if self.change is not None:
            self.change.check(self.layers)
        if self.balance is not None:
            self.balance.check([example.group for example in self.examples])

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that the vector acts on."""
        return (self.layer,) if isinstance(self.layer, int) else tuple(self.layer)

    @property
    def shape(self) -> Shape:
        """How what is trained is laid out."""
        with_matrix = self.intervention in ("affine", "matrix")
        return Shape(
            way=self.intervention,
            value=float(self.clamp_value),
            rank=self.rank if with_matrix else 0,
            layers=self.layers,
            one_a_layer=self.one_a_layer,
            max_norm=math.inf if self.max_norm is None else float(self.max_norm),
            max_row_norm=float(self.max_row_norm),
        )

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

    @property
    def starts_steepest(self) -> bool:
        """Whether the start is found by the gradient at zero."""
        if self.start is None:
            return self.optimizer == "lbfgs" and self.intervention == "add"
        return isinstance(self.start, str) and self.start == "steepest"

    def to_dict(self) -> dict[str, Any]:
        """The whole configuration as plain JSON; examples stand apart in the provenance."""
        apart = {"examples", "start", "positions", "layer", "label", "orthogonal_to"}
        config = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        for name in ("noise", "constraint", "change", "balance"):
            if config[name] is not None:
                config[name] = asdict(config[name])
        start = self.start if isinstance(self.start, str) else "given"
        if self.start is None:
            start = "steepest" if self.starts_steepest else "random"
        others = [vector.label for vector in self.orthogonal_to]
        return {**config, "layer": list(self.layers), "start": start, "orthogonal_to": others}
