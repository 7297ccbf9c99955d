"""The paper's losses, in nats, as functions of the logits that predict a completion's tokens.

Promotion:    L+ = -Σ_k log P(y_k | y_<k, x; v)
Suppression:  L- = -Σ_k log(1 - P(y_k | y_<k, x; v))       the complement of each token

with P = softmax(coldness · logits), always in float32 or better (paper 2502.18862, section 2).

log(1 - P_y) is the log of the other tokens' mass: logsumexp over j≠y minus logsumexp over all j.
It is never taken from P or log P, which near P = 1 hold nothing of it in float32; so no epsilon is
needed, and its gradient, -softmax over the others, stays finite.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.steering.scoring import at_least_float32, log_softmax_at


def promotion_terms(
    logits: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"], coldness: int | float
) -> Float[Tensor, " token"]:
    """`-log P(y)` of each token, in nats."""
    return -log_softmax_at(logits, target, coldness)


def suppression_terms(
    logits: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"], coldness: int | float
) -> Float[Tensor, " token"]:
    """`-log(1 - P(y))` of each token, in nats."""
    scaled = coldness * at_least_float32(logits)
    others = scaled.scatter(-1, target[:, None], float("-inf"))
    return scaled.logsumexp(-1) - others.logsumexp(-1)


def completion_losses(
    logits: Float[Tensor, "token d_vocab"],
    target: Int[Tensor, " token"],
    row: Int[Tensor, " token"],
    suppressed: Bool[Tensor, " row"],
    coldness: Float[Tensor, " row"],
) -> Float[Tensor, " row"]:
    """The loss of each completion (row): the sum of its tokens' terms.

    Tokens that are promoted and suppressed are read apart, so that each pays for its own term.
    """
    scaled = at_least_float32(logits) * coldness[row, None]
    down = suppressed[row]
    terms = scaled.new_empty(len(row))
    for mask, read in ((~down, promotion_terms), (down, suppression_terms)):
        if mask.any():
            terms = terms.masked_scatter(mask, read(scaled[mask], target[mask], 1.0))
    return terms.new_zeros(len(suppressed)).index_add(0, row, terms)
