"""Steered text under a base model: abnormality, context likelihood, information complexity.

The paper's framework (v1, section 2.2): a base model B with samples C of a behaviour in its context
approximates that behaviour, B(x|C) ≈ C(x).

- abnormality: is -log B(x|C)/|x| of steered texts x larger than that of reference texts?
- context likelihood: under which of several contexts is it smaller?
- information complexity: -log B(C), an upper bound on what it takes to specify the behaviour.

|x| counts tokens of B, characters or bytes: with the latter two, models of different tokenizers
compare. Texts are cut at 100 tokens, because those that loop look cheap later on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.cached import Beginning
from workbench.models.hooked import HookedModel, device_of, logits, undisturbed
from workbench.models.plain import plain_of
from workbench.models.text import TokenBatch, check_context, pad, prompt_ids
from workbench.steering.scoring import log_softmax_at

Unit = Literal["token", "character", "byte"]
SEPARATOR = "\n\n"
CUT = 100
BATCH = 16


@dataclass(frozen=True)
class Information:
    """-log B of each text in nats, with its length as scored (cut) in three units."""

    texts: tuple[str, ...]
    nats: tuple[float, ...]
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    bytes: tuple[int, ...]

    def rate(self, unit: Unit = "token", *, bits: bool = False) -> np.ndarray:
        """Each text's surprisal a unit, in nats or bits."""
        lengths = {"token": self.tokens, "character": self.characters, "byte": self.bytes}[unit]
        rates: np.ndarray = np.divide(self.nats, lengths)
        return rates / np.log(2) if bits else rates

    def median(self, unit: Unit = "token", *, bits: bool = False) -> float:
        """The median over texts."""
        return float(np.median(self.rate(unit, bits=bits)))

    def to_frame(self) -> pd.DataFrame:
        """One row a text: text (as scored), nats, bits, tokens, characters, bytes."""
        return pd.DataFrame(
            {
                "text": self.texts,
                "nats": self.nats,
                "bits": np.divide(self.nats, np.log(2)),
                "tokens": self.tokens,
                "characters": self.characters,
                "bytes": self.bytes,
            }
        )


@torch.no_grad()
def information(
    base: HookedModel,
    texts: Sequence[str],
    context: Sequence[str] = (),
    *,
    cut: int | None = CUT,
    progress: bool = False,
) -> Information:
    """-log B(text | context) of each text, cut at `cut` tokens of the base model.

    `context` are samples of a behaviour, put before each text with empty lines between. Compare
    steered with reference texts under one context (abnormality), or the same texts under several
    (context likelihood). Raises ValueError without texts, or for an empty one.
    """
    stripped = [text.strip() for text in texts]
    if not stripped or not all(stripped):
        raise ValueError("information needs texts, and none of them empty")
    head = "".join(sample.strip() + SEPARATOR for sample in context)
    start = head or base.tokenizer.bos_token or base.tokenizer.eos_token
    if start is None:
        raise ValueError("this tokenizer has no token to begin a text with: give a context")
    # In pieces: a text's tokens should not depend on what is put before it.
    before = prompt_ids(base, start)
    pieces = base.tokenizer(stripped, add_special_tokens=False)["input_ids"]
    ids = [list(each[:cut]) for each in pieces]
    check_context(base, len(before) + max(map(len, ids)), "the context with the longest text")
    nats = [0.0] * len(ids)
    # Texts of like length go together, so that little is padding.
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    with undisturbed(base):
        read = _reader(base, before)
        starts = range(0, len(order), BATCH)
        for begin in tqdm(starts, desc="information", disable=not progress):
            which = order[begin : begin + BATCH]
            batch = pad(base, [ids[i] for i in which], side="right")
            real = batch.attention_mask.bool()
            values = -log_softmax_at(read(batch)[real], batch.tokens[real], 1.0)
            for i, own in zip(which, values.cpu().split(batch.lengths.tolist()), strict=True):
                nats[i] = float(own.sum())
    scored = [base.tokenizer.decode(each) for each in ids]
    return Information(
        texts=tuple(scored),
        nats=tuple(nats),
        tokens=tuple(map(len, ids)),
        characters=tuple(map(len, scored)),
        bytes=tuple(len(text.encode()) for text in scored),
    )


def _reader(
    base: HookedModel, before: Sequence[int]
) -> Callable[[TokenBatch], Float[Tensor, "batch pos d_vocab"]]:
    """A function that gives the logits which predict each token of texts after `before`.

    The context is read once, where the model has a plain one behind it (models/plain.py).
    """
    plain = plain_of(base)
    if plain is not None:
        return Beginning(plain, torch.tensor(before, device=device_of(base))).predicting

    def whole(texts: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        head = torch.tensor(before, device=texts.tokens.device).expand(len(texts.tokens), -1)
        tokens = torch.cat([head, texts.tokens], dim=-1)
        mask = torch.cat([torch.ones_like(head), texts.attention_mask], dim=-1)
        return logits(base, tokens, mask)[:, len(before) - 1 : -1]

    return whole


def context_likelihood(
    base: HookedModel,
    texts: Sequence[str],
    contexts: Mapping[str, Sequence[str]],
    *,
    cut: int | None = CUT,
) -> dict[str, Information]:
    """The same texts under each context, by its name: the likelier context has fewer nats."""
    return {name: information(base, texts, samples, cut=cut) for name, samples in contexts.items()}


def complexity(base: HookedModel, samples: Sequence[str]) -> Information:
    """-log B(C) of all samples as one text, uncut: an upper bound on a behaviour's information."""
    return information(base, [SEPARATOR.join(sample.strip() for sample in samples)], cut=None)
