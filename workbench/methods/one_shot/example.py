"""One training example: a prompt, and the completions to promote or suppress after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.steering.positions import Positions


@dataclass(frozen=True, eq=False)
class Imitation:
    """A completion in tokens, with the distribution to imitate at each of them.

    `log_probs[k]` is the log of a distribution of the token k, at the coldness that the job has.
    Reentrant steering makes these (methods/one_shot/reentrant.py).
    """

    tokens: Int[Tensor, " token"]
    log_probs: Float[Tensor, "token d_vocab"]
    text: str = ""

    def __post_init__(self) -> None:
        if len(self.tokens) == 0:
            raise ValueError("an imitation needs at least one token")
        if not torch.allclose(self.log_probs.exp().sum(-1), self.log_probs.new_ones(()), atol=1e-3):
            raise ValueError("log_probs do not sum to 1: give log-probabilities, not logits")


@dataclass(frozen=True, eq=False)
class Example:
    """A prompt with completions to promote, to suppress, to imitate (paper, section 2).

    `prompt` is exactly the text that the model reads. `target_losses` gives each completion a loss
    in nats to reach, those promoted first, then those suppressed, then imitations. `negated`
    evaluates the example with the opposite edit (-v), so that one vector can be trained for two
    directions. `positions` overrides the run's own. `group` names the example's side of a spurious
    attribute, for a balance penalty.

    Raises ValueError for an example without completions, and for targets that do not fit them.
    """

    prompt: str
    promote: Sequence[str] = ()
    suppress: Sequence[str] = ()
    target_losses: Sequence[int | float] | None = None
    negated: bool = False
    positions: Positions | Tensor | None = None
    imitate: Sequence[Imitation] = ()
    group: str | None = None

    def __post_init__(self) -> None:
        for name in ("promote", "suppress"):
            given = getattr(self, name)
            texts = (given,) if isinstance(given, str) else tuple(given)
            if any(not text for text in texts):
                raise ValueError(f"{name} holds an empty completion: it has no token to train on")
            object.__setattr__(self, name, texts)
        object.__setattr__(self, "imitate", tuple(self.imitate))
        if not self.completions:
            raise ValueError(
                f"the example {self.prompt[-40:]!r} promotes and suppresses nothing: give at least "
                "one completion"
            )
        if self.positions is not None:
            object.__setattr__(self, "positions", Positions.of(self.positions))
        if self.target_losses is None:
            return
        targets = tuple(float(target) for target in self.target_losses)
        if len(targets) != len(self.completions):
            raise ValueError(
                f"{len(targets)} target losses for {len(self.completions)} completions: give one "
                "for each, those promoted first"
            )
        if not all(math.isfinite(target) for target in targets):
            raise ValueError(f"target losses are finite numbers of nats, got {targets}")
        object.__setattr__(self, "target_losses", targets)

    @property
    def completions(self) -> tuple[str, ...]:
        """All completions, those promoted first, imitations last."""
        return (*self.promote, *self.suppress, *(each.text for each in self.imitate))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for provenance."""
        return {
            "prompt": self.prompt,
            "promote": list(self.promote),
            "suppress": list(self.suppress),
            "imitate": [each.text for each in self.imitate],
            "target_losses": None if self.target_losses is None else list(self.target_losses),
            "negated": self.negated,
            "positions": None if self.positions is None else str(self.positions),
            "group": self.group,
        }
