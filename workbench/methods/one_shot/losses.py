"""The paper's losses, in nats, from the logits that predict a completion's tokens.

Promotion:    L+ = -Σ_k log P(y_k | y_<k, x; v)
Suppression:  L- = -Σ_k log(1 - P(y_k | y_<k, x; v))       the complement of each token
  or          L- = Σ_k max(log P(y_k | y_<k, x; v), -floor)  the log-prob itself, bounded
Imitation:    Σ_k KL(p_k ‖ P(. | y_<k, x; v))              reentrant steering, v1 section 2.1.2

with P = softmax(coldness · logits), always in float32 or better (paper 2502.18862, section 2).

log(1 - P_y) is the log of the other tokens' mass: logsumexp over j≠y minus logsumexp over all j,
which is softplus(z_y - logsumexp of the others). It is never taken from P or log P, which near
P = 1 hold nothing of it in float32; so no epsilon is needed, and its gradient stays finite.

Each term leaves its gradient in place of the logits (hence the underscores), written out: P less
the target's own place for promotion, P(y)·(place - softmax of the others) for the complement,
P - p for imitation. Autograd would go over the same numbers several times more (`Head.read` needs
no graph of them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from workbench.models.tail import Pass
from workbench.steering.scoring import at_least_float32

Kind = Literal["promotion", "complement", "log_prob", "imitation"]
KINDS: tuple[Kind, ...] = ("promotion", "complement", "log_prob", "imitation")


def promotion_terms_(
    scaled: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"]
) -> Float[Tensor, " token"]:
    """`-log P(y)` of each token in nats; the scaled logits become its gradient by them."""
    place = target[:, None]
    own = scaled.gather(-1, place)
    exps, total, largest = _exponentials_(scaled)
    terms = total.log() - (own - largest)  # in this order: near P = 1 nothing is lost
    exps.mul_(total.reciprocal()).scatter_add_(-1, place, -torch.ones_like(own))
    return terms.squeeze(-1)


def complement_terms_(
    scaled: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"]
) -> Float[Tensor, " token"]:
    """`-log(1 - P(y))` of each token in nats; the scaled logits become its gradient by them."""
    place = target[:, None]
    own = scaled.gather(-1, place)
    others, total, largest = _exponentials_(scaled.scatter_(-1, place, float("-inf")))
    odds = own - largest - total.log()  # log of P / (1 - P)
    chosen = odds.sigmoid()
    others.mul_(-chosen / total).scatter_(-1, place, chosen)
    return softplus(odds, threshold=50.0).squeeze(-1)


def log_prob_terms_(
    scaled: Float[Tensor, "token d_vocab"],
    target: Int[Tensor, " token"],
    floor: Float[Tensor, " token"],
) -> Float[Tensor, " token"]:
    """`max(log P(y), -floor)` of each token in nats; the logits become its gradient, 0 below it."""
    terms = promotion_terms_(scaled, target)
    above = (terms < floor).to(terms.dtype)
    scaled.mul_(-above[:, None])
    return -terms.minimum(floor)


def imitation_terms_(
    scaled: Float[Tensor, "token d_vocab"], log_probs: Float[Tensor, "token d_vocab"]
) -> Float[Tensor, " token"]:
    """`KL(p ‖ P)` of each token in nats; the scaled logits become its gradient by them."""
    ours = scaled.sub_(scaled.logsumexp(-1, keepdim=True))
    probs = log_probs.exp()
    gaps = torch.where(probs > 0, probs * (log_probs - ours), 0.0)
    ours.exp_().sub_(probs)
    return gaps.sum(-1)


def _exponentials_(
    scaled: Float[Tensor, "token d_vocab"],
) -> tuple[Float[Tensor, "token d_vocab"], Float[Tensor, "token 1"], Float[Tensor, "token 1"]]:
    """`exp(z - max z)` in place of z, its sum, and the largest z.

    Faster than `log_softmax`, above all where the vocabulary comes first in memory.
    """
    largest = scaled.amax(-1, keepdim=True)
    exps = scaled.sub_(largest).exp_()
    return exps, exps.sum(-1, keepdim=True), largest


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
        order = self.kind.argsort(stable=True)  # kind by kind, so that each is one piece of a chunk
        read = passed.read(self.row[order], self.column[order], partial(self._read, order))
        return torch.zeros_like(read).index_copy(0, order, read)

    def _read(
        self,
        order: Int[Tensor, " token"],
        logits: Float[Tensor, "some d_vocab"],
        some: Int[Tensor, " some"],
    ) -> tuple[Float[Tensor, " some"], Float[Tensor, "some d_vocab"]]:
        """Terms and gradients of `some` tokens in `order`; what is written goes over the logits."""
        which = order[some]
        scaled = at_least_float32(logits)
        coldness = self.coldness[which, None].to(scaled.dtype)
        scaled.mul_(coldness)
        kinds, counts = self.kind[which].unique_consecutive(return_counts=True)
        terms = []
        pieces = zip(which.split(counts.tolist()), scaled.split(counts.tolist()), strict=True)
        for number, (own, piece) in zip(kinds.tolist(), pieces, strict=True):
            terms.append(self._terms_of(KINDS[number], own, piece))
        return torch.cat(terms), scaled.mul_(coldness)

    def _terms_of(
        self, kind: Kind, own: Int[Tensor, " token"], scaled: Float[Tensor, "token d_vocab"]
    ) -> Float[Tensor, " token"]:
        if kind == "promotion":
            return promotion_terms_(scaled, self.target[own])
        if kind == "complement":
            return complement_terms_(scaled, self.target[own])
        if kind == "log_prob":
            return log_prob_terms_(scaled, self.target[own], self.floor[own])
        assert self.imitated is not None
        which = self.kind.eq(KINDS.index(kind)).cumsum(0) - 1  # of the imitated tokens
        return imitation_terms_(scaled, self.imitated[which[own]])
