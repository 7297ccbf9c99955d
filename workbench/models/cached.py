"""Forward passes with a key-value cache, on the plain model where it may be used."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from workbench.models.hooked import CachedForward, HookedModel, only_last
from workbench.models.plain import PlainModel

_ROOM = 64  # tokens


def cached_forward(model: HookedModel, plain: PlainModel | None) -> CachedForward | PlainForward:
    """Cached passes on `plain`, if it is given, else on `model`."""
    return CachedForward(model) if plain is None else PlainForward(plain)


class PlainForward:
    """What `CachedForward` does, on a plain model and without gradients."""

    def __init__(self, plain: PlainModel):
        self._hf_model = plain.hf_model
        self._only_last = only_last(plain.hf_model)
        # As transformers' own `generate`: positions count real tokens, where the model takes them.
        self._positioned = "position_ids" in signature(plain.hf_model.forward).parameters
        self._cache: Any = None

    @torch.no_grad()
    def __call__(
        self, tokens: Int[Tensor, "batch pos"], attention_mask: Int[Tensor, "batch total"]
    ) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last of `tokens`; the mask covers everything seen so far."""
        options: dict[str, Any] = dict(self._only_last)
        if self._positioned:
            places = (attention_mask.cumsum(-1) - 1).clamp(min=0)
            options["position_ids"] = places[:, -tokens.shape[1] :]
        out = self._hf_model(
            tokens,
            attention_mask=attention_mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
        )
        if self._cache is None:
            self._cache = _growing(out.past_key_values)
        return out.logits[:, -1]


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
