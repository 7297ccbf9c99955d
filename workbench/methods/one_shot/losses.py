"""The paper's losses, in nats, from the logits that predict a completion's tokens.

Promotion:    L+ = -Σ_k log P(y_k | y_<k, x; v)
Suppression:  L- = -Σ_k log(1 - P(y_k | y_<k, x; v))       the complement of each token
  or          L- = Σ_k max(log P(y_k | y_<k, x; v), -floor)  the log-prob itself, bounded
Imitation:    Σ_k KL(p_k ‖ P(. | y_<k, x; v))              reentrant steering, v1 section 2.1.2

with P = softmax(coldness · logits), always in float32 or better (paper 2502.18862, section 2).

log(1 - P_y) is the log of the other tokens' mass: logsumexp over j≠y minus logsumexp over all j,
which is softplus(z_y - logsumexp of the others). It is never taken from P or log P, which near
P = 1 hold nothing of it in float32; so no epsilon is needed, and its gradient stays finite.

Each term comes with its gradient by the logits, written out: P less the target's own place for
promotion, P(y)·(place - softmax of the others) for the complement, P - p for imitation. Autograd
would go over the same numbers several times more (`Head.read` needs no graph of them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from workbench.models.tail import Pass
from workbench.steering.scoring import at_least_float32

Kind = Literal["promotion", "complement", "log_prob", "imitation"]
KINDS: tuple[Kind, ...] = ("promotion", "complement", "log_prob", "imitation")
Terms = tuple[Float[Tensor, " token"], Float[Tensor, "token d_vocab"]]


def promotion_terms(scaled: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"]) -> Terms:
    """`-log P(y)` of each token in nats, and its gradient by the scaled logits."""
    log_probs = scaled.log_softmax(-1)
    terms = -log_probs.gather(-1, target[:, None]).squeeze(-1)
    gradient = log_probs.exp_()
    return terms, gradient.scatter_add_(-1, target[:, None], -torch.ones_like(terms)[:, None])


def complement_terms(
    scaled: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"]
) -> Terms:
    """`-log(1 - P(y))` of each token in nats, and its gradient by the scaled logits."""
    place = target[:, None]
    own = scaled.gather(-1, place)
    log_others = scaled.scatter(-1, place, float("-inf")).log_softmax(-1)
    likeliest = log_others.argmax(-1, keepdim=True)
    mass_of_others = scaled.gather(-1, likeliest) - log_others.gather(-1, likeliest)
    odds = own - mass_of_others  # log of P / (1 - P)
    chosen = odds.sigmoid()
    gradient = log_others.exp_().mul_(-chosen).scatter_(-1, place, chosen)
    return softplus(odds, threshold=50.0).squeeze(-1), gradient


def log_prob_terms(
    scaled: Float[Tensor, "token d_vocab"],
    target: Int[Tensor, " token"],
    floor: Float[Tensor, " token"],
) -> Terms:
    """`max(log P(y), -floor)` of each token in nats, and its gradient: none below the floor."""
    terms, gradient = promotion_terms(scaled, target)
    above = (terms < floor).to(terms.dtype)
    return -terms.minimum(floor), gradient.mul_(-above[:, None])


def imitation_terms(
    scaled: Float[Tensor, "token d_vocab"], log_probs: Float[Tensor, "token d_vocab"]
) -> Terms:
    """`KL(p ‖ P)` of each token in nats, and its gradient by the scaled logits."""
    ours = scaled.log_softmax(-1)
    probs = log_probs.exp()
    gaps = torch.where(probs > 0, probs * (log_probs - ours), 0.0)
    return gaps.sum(-1), ours.exp_().sub_(probs)


@dataclass(frozen=True, eq=False)
class Readings:
    """The tokens that a batch's losses are read from, and how each of them is read.

    `imitated` holds log-probabilities, one row for each token of the kind "imitation", in order.
    """

    row: Int[Tensor, " token"]
    column: Int[Tensor, " token"]
    target: Int[Tensor, " token"]
    kind: Int[Tensor, " token"]
    coldness: Float[Tensor, " token"]
    floor: Float[Tensor, " token"]
    imitated: Float[Tensor, "some d_vocab"] | None = None

    @classmethod
    def joined(cls, several: Sequence[Readings], offsets: Sequence[int]) -> Readings:
        """Readings of several requests in one batch, whose rows begin at `offsets`."""
        names = ("column", "target", "kind", "coldness", "floor")
        imitated = [each.imitated for each in several if each.imitated is not None]
        return cls(
            row=torch.cat([each.row + at for each, at in zip(several, offsets, strict=True)]),
            imitated=torch.cat(imitated) if imitated else None,
            **{name: torch.cat([getattr(each, name) for each in several]) for name in names},
        )

    def terms(self, passed: Pass) -> Float[Tensor, " token"]:
        """Each token's term in nats, differentiable by what the pass was edited with."""
        terms = self.floor.new_zeros(len(self.row))
        for number, kind in enumerate(KINDS):
            chosen = (self.kind == number).nonzero().squeeze(-1)
            if len(chosen):
                reader = self._reader(kind, chosen)
                read = passed.read(self.row[chosen], self.column[chosen], reader)
                terms = terms.index_add(0, chosen, read.to(terms.dtype))
        return terms

    def _reader(self, kind: Kind, chosen: Int[Tensor, " some"]) -> Callable[..., Terms]:
        def read(logits: Tensor, some: Tensor) -> Terms:
            which = chosen[some]
            full = at_least_float32(logits)
            coldness = self.coldness[which, None].to(full.dtype)
            scaled = full * coldness
            if kind == "promotion":
                terms, gradient = promotion_terms(scaled, self.target[which])
            elif kind == "complement":
                terms, gradient = complement_terms(scaled, self.target[which])
            elif kind == "log_prob":
                terms, gradient = log_prob_terms(scaled, self.target[which], self.floor[which])
            else:
                assert self.imitated is not None
                terms, gradient = imitation_terms(scaled, self.imitated[some])
            return terms, gradient.mul_(coldness)

        return read
