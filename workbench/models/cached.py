"""Forward passes with a key-value cache, on the plain model where it may be used."""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from workbench.models.hooked import HookedModel, is_bridge
from workbench.models.plain import PlainModel
from workbench.models.text import TokenBatch

_ROOM = 64  # tokens


def cached_forward(model: HookedModel, plain: PlainModel | None) -> CachedForward | PlainForward:
    """Cached passes on `plain`, if it is given, else on `model`."""
    return CachedForward(model) if plain is None else PlainForward(plain)


class CachedForward:
    """Forward passes that remember: each call is given only the new tokens.

    Knows nothing of sampling. One object serves one batch from its prompt to its end.
    """

    def __init__(self, model: HookedModel):
        self.model = model
        self._cache: Any = None
        inner = model.original_model if is_bridge(model) else None  # type: ignore[attr-defined]
        self._only_last = {} if inner is None else only_last(inner)

    def __call__(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Int[Tensor, "batch total"]
    ) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last of `tokens`; the mask covers everything seen so far."""
        if is_bridge(self.model):
            out, self._cache = self.model(
                tokens,
                attention_mask=attention_mask,
                past_key_values=self._cache,
                use_cache=True,
                return_type="logits_and_cache",
                **self._only_last,
            )
            return out[:, -1]
        if self._cache is None:
            from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

            self._cache = TransformerLensKeyValueCache.init_cache(
                self.model.cfg, tokens.device, tokens.shape[0]
            )
        new = attention_mask[:, -tokens.shape[1] :]  # a HookedTransformer's cache keeps the rest
        out = self.model(
            tokens, attention_mask=new, past_kv_cache=self._cache, return_type="logits"
        )
        return out[:, -1]

    def reorder(self, rows: Int[Tensor, " row"]) -> None:
        """Go on with these rows of what was read so far; one row may go on as several."""
        if self._cache is None:
            raise ValueError("nothing was read yet, so there are no rows to choose from")
        if is_bridge(self.model):
            self._cache.reorder_cache(rows)
            return
        for entry in self._cache.entries:
            entry.past_keys = entry.past_keys[rows.to(entry.past_keys.device)]
            entry.past_values = entry.past_values[rows.to(entry.past_values.device)]
        mask = self._cache.previous_attention_mask
        self._cache.previous_attention_mask = mask[rows.to(mask.device)]


def only_last(hf_model: nn.Module) -> dict[str, Tensor]:
    """How a Hugging Face model is told to unembed its last position only, where it can be told.

    Unembedding a whole prompt would cost more than many of its blocks. An index, not the number 1:
    that would cut a view, for which PyTorch 2.13 copies the unembedding for every row where it is
    bfloat16 on a CPU, at the price of the whole prompt.
    """
    known = signature(hf_model.forward).parameters
    return {"logits_to_keep": torch.tensor([-1])} if "logits_to_keep" in known else {}


def columns_of(
    plain: PlainModel, batch: TokenBatch, columns: Int[Tensor, " column"]
) -> Float[Tensor, "batch column d_vocab"]:
    """Logits at some columns of rows padded on the right, without a cache."""
    hf_model = plain.hf_model
    keeps = "logits_to_keep" in signature(hf_model.forward).parameters
    options = {"logits_to_keep": columns} if keeps else {}
    found: Tensor = hf_model(
        batch.tokens, attention_mask=batch.attention_mask, use_cache=False, **options
    ).logits
    return found if keeps else found[:, columns]


class PlainForward:
    """What `CachedForward` does, on a plain model and without gradients."""

    def __init__(self, plain: PlainModel):
        self._reader = _Reader(plain)
        self._only_last = only_last(plain.hf_model)
        self._cache: Any = None

    @torch.no_grad()
    def __call__(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Int[Tensor, "batch total"]
    ) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last of `tokens`; the mask covers everything seen so far."""
        out = self._reader(tokens, attention_mask, self._cache, **self._only_last)
        if self._cache is None:
            self._cache = _growing(out.past_key_values)
        return out.logits[:, -1]


class Beginning:
    """What many texts begin with, read once by a plain model and without gradients."""

    @torch.no_grad()
    def __init__(self, plain: PlainModel, tokens: Int[Tensor, " pos"]):
        self._reader, self._length = _Reader(plain), len(tokens)
        ones = torch.ones_like(tokens)[None]
        out = self._reader(tokens[None], ones, None, **only_last(plain.hf_model))
        self._cache, self._last = out.past_key_values, out.logits[:, -1:]

    @torch.no_grad()
    def predicting(self, texts: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """The logits that predict each token of texts that are padded on the right."""
        rows = len(texts.tokens)
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(rows)
        mask = texts.attention_mask
        whole = torch.cat([mask.new_ones(rows, self._length), mask], dim=-1)
        read = self._reader(texts.tokens, whole, cache).logits
        return torch.cat([self._last.expand(rows, -1, -1), read[:, :-1]], dim=1)


class _Reader:
    """A plain model's pass over tokens that come after those in a cache."""

    def __init__(self, plain: PlainModel):
        self._hf_model = plain.hf_model
        # As transformers' own `generate`: positions count real tokens, where the model takes them.
        self._positioned = "position_ids" in signature(plain.hf_model.forward).parameters

    def __call__(self, tokens: Tensor, mask: Tensor, cache: Any, **options: Any) -> Any:
        if self._positioned:
            places = (mask.cumsum(-1) - 1).clamp(min=0)
            options["position_ids"] = places[:, -tokens.shape[1] :]
        return self._hf_model(
            tokens, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )


def _growing(cache: Any) -> Any:
    """The cache, with layers that grow in place where it copied all it holds for every token."""
    if isinstance(cache, DynamicCache):
        cache.layers = [
            _GrowingLayer(layer) if type(layer) is DynamicLayer and layer.is_initialized else layer
            for layer in cache.layers
        ]
    return cache


class _GrowingLayer(DynamicLayer):
    """One layer's keys and values as the beginning of tensors that have room for more."""

    def __init__(self, filled: DynamicLayer):
        super().__init__()
        self.dtype, self.device = filled.dtype, filled.device
        self.keys, self.values = filled.keys, filled.values
        self.is_initialized = True
        self._roomy_keys, self._roomy_values = self.keys, self.values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append, and return all there is."""
        old, new = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if new > self._roomy_keys.shape[-2]:
            self._roomy_keys = _with_room(self.keys, new + _ROOM)
            self._roomy_values = _with_room(self.values, new + _ROOM)
        self._roomy_keys[..., old:new, :] = key_states
        self._roomy_values[..., old:new, :] = value_states
        self.keys = self._roomy_keys[..., :new, :]
        self.values = self._roomy_values[..., :new, :]
        return self.keys, self.values


def _with_room(states: Tensor, room: int) -> Tensor:
    """The states at the beginning of a new tensor that is `room` long."""
    roomy = states.new_empty((*states.shape[:-2], room, states.shape[-1]))
    roomy[..., : states.shape[-2], :] = states
    return roomy
