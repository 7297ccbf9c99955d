"""The tokens that a vector promotes and suppresses by itself, through the unembedding.

The residual stream's last reading is logits = N(x) W_U + b_U, with N the final norm. Along the
direct path (no block between) a vector v moves the logits by

    (1 / σ) · (g ⊙ C v) W_U

where g is the final norm's weight, C removes the mean over d_model if the norm is a LayerNorm
(an RMSNorm has no C: C v = v), and σ is the scale of the stream it is added to. This module
gives that product with σ = 1: logits per unit of the stream as the norm rescales it. The biases
cancel in a difference and a soft cap on the logits is not applied.

Nothing comes from data: C acts on the vector's own entries. It is there because LayerNorm cannot
see the mean, and because with it a model with folded weights gives the same z-scores as the raw
one (folding centres W_U in just this way; it may also shift all logits by one constant). Blocks
after the vector's layer are ignored, so a vector that works through them may show nothing here;
that is a finding, not a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.analysis.geometry import VectorLike

_CHUNK = 16_384  # vocabulary columns in float32 at a time: W_U may be half-precision and large


@dataclass(frozen=True)
class LensToken:
    """One token under the lens: its visible text, its logit, and that logit as a z-score."""

    token: str
    token_id: int
    logit: float
    z: float


@dataclass(frozen=True)
class VectorLens:
    """What a vector promotes (largest logits first) and suppresses (smallest first).

    `mean` and `std` are those of the vector's logits over the `n_vocab` tokens that the tokenizer
    knows; z = (logit - mean) / std. The reference is `n_random` Gaussian vectors of the same
    norm: `random_max_z` is the mean of their largest |z| (`random_low` to `random_high`: the
    central 95% of them), `random_std` the mean of their logits' standard deviations.
    """

    label: str
    layer: int | tuple[int, ...]
    norm: float
    promoted: tuple[LensToken, ...]
    suppressed: tuple[LensToken, ...]
    mean: float
    std: float
    n_vocab: int
    random_max_z: float
    random_low: float
    random_high: float
    random_std: float
    n_random: int
    seed: int

    def to_frame(self) -> pd.DataFrame:
        """One row a token: side, rank (from 1), token, token_id, logit, z."""
        rows = [
            (side, rank, token.token, token.token_id, token.logit, token.z)
            for side, tokens in (("promoted", self.promoted), ("suppressed", self.suppressed))
            for rank, token in enumerate(tokens, 1)
        ]
        return pd.DataFrame(rows, columns=["side", "rank", "token", "token_id", "logit", "z"])


@torch.no_grad()
def vector_lens(
    model: Any, vector: VectorLike, k: int = 10, *, n_random: int = 64, seed: int = 0
) -> VectorLens:
    """Read the vector through the final norm's weight and the unembedding.

    Of the model only `W_U`, `ln_final` and `tokenizer` are used. Columns of W_U past the
    tokenizer's last token (padding of the matrix) are left out.
    """
    W_U: Float[Tensor, "d_model d_vocab"] = model.W_U
    values = vector.values.detach().to(W_U.device, torch.float32)
    if values.shape != W_U.shape[:1]:
        raise ValueError(
            f"the vector has shape {tuple(values.shape)}, but the model's residual stream is "
            f"{W_U.shape[0]} wide"
        )
    norm = float(values.norm())
    if not 0 < norm < float("inf"):
        raise ValueError(f"the vector {vector.label!r} has norm {norm}: it has no direction")
    n_vocab = min(W_U.shape[1], len(model.tokenizer))
    if not 1 <= k <= n_vocab:
        raise ValueError(f"k must lie between 1 and the vocabulary's {n_vocab} tokens, got {k}")
    if n_random < 2:
        raise ValueError(f"the random reference needs at least two vectors, got {n_random}")

    # Drawn on the CPU, so that a seed means the same vectors on every device.
    noise = torch.randn(n_random, len(values), generator=torch.Generator().manual_seed(seed))
    noise = (noise * (norm / noise.norm(dim=1, keepdim=True))).to(W_U.device)
    read = through_final_norm(model.ln_final, torch.cat([values[None], noise]))
    logits: Float[Tensor, "row n_vocab"] = torch.cat(
        [
            read @ W_U[:, start : min(start + _CHUNK, n_vocab)].float()
            for start in range(0, n_vocab, _CHUNK)
        ],
        dim=1,
    ).cpu()

    means, stds = logits.mean(dim=1), logits.std(dim=1, correction=0)
    own = logits[0]
    z = (own - means[0]) / stds[0]
    largest = ((logits[1:] - means[1:, None]) / stds[1:, None]).abs().amax(dim=1)
    low, high = torch.quantile(largest, torch.tensor([0.025, 0.975])).tolist()
    ranked = own.argsort(descending=True, stable=True)
    return VectorLens(
        label=vector.label,
        layer=vector.layer,
        norm=norm,
        promoted=_tokens(model.tokenizer, ranked[:k], own, z),
        suppressed=_tokens(model.tokenizer, ranked.flip(0)[:k], own, z),
        mean=float(means[0]),
        std=float(stds[0]),
        n_vocab=n_vocab,
        random_max_z=float(largest.mean()),
        random_low=low,
        random_high=high,
        random_std=float(stds[1:].mean()),
        n_random=n_random,
        seed=seed,
    )


def through_final_norm(
    ln_final: Any, vectors: Float[Tensor, "*row d_model"]
) -> Float[Tensor, "*row d_model"]:
    """Apply the linear part of the final norm: centre (LayerNorm only), then scale by its weight.

    Reads TransformerLens's wrappers, raw or folded: a norm without a weight scales by one, and
    Gemma's RMSNorm, which stores its weight as an offset from one, by 1 + weight.
    """
    if ln_final is None or isinstance(
        getattr(ln_final, "original_component", ln_final), torch.nn.Identity
    ):
        return vectors
    rms = getattr(ln_final, "uses_rms_norm", None)
    if rms is None:  # HookedTransformer's own norms, or a bare module
        rms = "RMS" in type(ln_final).__name__
    if not rms:
        vectors = vectors - vectors.mean(dim=-1, keepdim=True)
    weight = getattr(ln_final, "weight", None)
    if weight is None:
        weight = getattr(ln_final, "w", None)
    if weight is None:
        return vectors
    weight = weight.detach().to(vectors)
    return vectors * (1 + weight if getattr(ln_final, "uses_weight_offset", False) else weight)


def visible_token(tokenizer: Any, token_id: int) -> str:
    """The token's text with nothing invisible: "␣" for outer spaces, escapes for the rest.

    Pieces of characters that cannot be decoded alone are shown as the tokenizer spells them, ids
    without a token as "⟨id⟩".
    """
    piece = tokenizer.convert_ids_to_tokens(token_id)
    if not piece:
        return f"⟨{token_id}⟩"
    text = tokenizer.decode([token_id])
    if piece.startswith("▁"):  # SentencePiece: decoding a single token loses its space
        text = piece.replace("▁", " ")
    elif "\ufffd" in text or not text:
        text = piece
    core = text.strip(" ")
    if not core:
        return "␣" * len(text)
    before, after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    core = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in core)
    return "␣" * before + core + "␣" * after


def _tokens(
    tokenizer: Any,
    ids: Int[Tensor, " k"],
    logits: Float[Tensor, " n_vocab"],
    z: Float[Tensor, " n_vocab"],
) -> tuple[LensToken, ...]:
    """The named tokens with their logits and z-scores."""
    return tuple(
        LensToken(visible_token(tokenizer, i), i, float(logits[i]), float(z[i]))
        for i in ids.tolist()
    )
