"""Which model this is: the record that vectors carry, and what was known when it was loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from workbench.models.hooked import HookedModel, d_model, dtype_of, is_bridge, n_layers


@dataclass(frozen=True)
class ModelRecord:
    """What must be known of a model to say whether a vector belongs to it.

    `weight_processing` is "raw" for unprocessed weights and "folded" where TransformerLens has
    folded norms or centred weights: vectors of one basis mean nothing in the other.
    """

    name: str
    revision: str | None
    dtype: str
    weight_processing: str
    d_model: int
    n_layers: int
    tokenizer_hash: str | None
    chat_template_hash: str | None


@dataclass(frozen=True)
class LoadFacts:
    """What only the loader can know, since wrapping a model replaces its tokenizer."""

    name: str
    revision: str | None = None
    adds_bos: bool = False
    stop_ids: tuple[int, ...] = ()


_FACTS: WeakKeyDictionary[Any, LoadFacts] = WeakKeyDictionary()
_TOKENIZER_HASHES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def remember(model: HookedModel, facts: LoadFacts) -> None:
    """Keep `facts` for as long as the model lives."""
    _FACTS[model] = facts


def facts_of(model: HookedModel) -> LoadFacts:
    """What was known when the model was loaded, or the best guess for one booted elsewhere.

    For a model that TransformerLens loaded, its own habit of prepending a BOS is kept.
    """
    if model in _FACTS:
        return _FACTS[model]
    tokenizer = model.tokenizer
    stop = getattr(tokenizer, "eos_token_id", None)
    return LoadFacts(
        name=str(model.cfg.model_name),
        adds_bos=bool(getattr(model.cfg, "default_prepend_bos", False)),
        stop_ids=() if stop is None else (int(stop),),
    )


def record_of(model: HookedModel) -> ModelRecord:
    """The model's record, as it is now."""
    facts = facts_of(model)
    return ModelRecord(
        name=facts.name,
        revision=facts.revision,
        dtype=str(dtype_of(model)).removeprefix("torch."),
        weight_processing=_weight_processing(model),
        d_model=d_model(model),
        n_layers=n_layers(model),
        tokenizer_hash=_tokenizer_hash(model.tokenizer),
        chat_template_hash=_hash(getattr(model.tokenizer, "chat_template", None)),
    )


def _weight_processing(model: HookedModel) -> str:
    if is_bridge(model):
        return "folded" if getattr(model, "compatibility_mode", False) else "raw"
    folded = str(model.cfg.normalization_type).endswith("Pre")  # HookedTransformer: LNPre, RMSPre
    return "folded" if folded else "raw"


def _tokenizer_hash(tokenizer: Any) -> str | None:
    """A hash of the vocabulary: the serialized tokenizer itself changes with every padding."""
    if tokenizer is None:
        return None
    if tokenizer not in _TOKENIZER_HASHES:
        _TOKENIZER_HASHES[tokenizer] = str(_hash(tokenizer.get_vocab()))
    return _TOKENIZER_HASHES[tokenizer]


def _hash(value: Any) -> str | None:
    if value is None:
        return None
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
