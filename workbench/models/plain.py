"""The plain model behind a bridge: the same weights, without hook points in the way.

A `TransformerBridge` wraps a Hugging Face model in place, and its hook points and explicit
attention cost a third to a half of a forward pass. So before a model is wrapped a second set of
module objects is made that shares its parameters, tensor for tensor, and takes no memory of note.
What reads or edits nothing but block inputs can run on it: the replayed tail and generation do.

It is used only where it is the same function: while nobody has put hooks on the model, and after
its logits have been compared with the bridge's, again whenever a weight has changed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from workbench.models.hooked import HookedModel, device_of, every_module, logits, n_layers
from workbench.models.norms import with_faster_norms

# The largest difference of two logits that are the same but for rounding, relative to the largest.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
HALF_PRECISION_TOLERANCE = 0.1
_PROBE = 8  # tokens


@dataclass(eq=False)
class PlainModel:
    """A Hugging Face model that shares a bridge's weights, with its parts by their roles.

    `checked` is the state of the weights at the last comparison with the bridge, and `replays` what
    has been seen since of replaying its blocks (models/tail.py).
    """

    hf_model: PreTrainedModel
    blocks: nn.ModuleList
    final_norm: nn.Module
    unembed: nn.Module
    parameters: tuple[nn.Parameter, ...]
    checked: Any = None
    replays: dict[Any, bool] = field(default_factory=dict)


_PLAIN: WeakKeyDictionary[Any, PlainModel] = WeakKeyDictionary()


def sharing_copy(hf_model: PreTrainedModel) -> PreTrainedModel:
    """New module objects around the same parameters and buffers; to be made before wrapping."""
    tensors = chain(hf_model.parameters(), hf_model.buffers())
    return copy.deepcopy(hf_model, {id(tensor): tensor for tensor in tensors})


def keep_plain(model: HookedModel, hf_model: PreTrainedModel) -> None:
    """Remember `hf_model`, a sharing copy, as the plain model behind the bridge `model`."""
    with_faster_norms(hf_model)
    parts = model.adapter.component_mapping  # type: ignore[attr-defined]
    blocks, norm, unembed = (
        hf_model.get_submodule(parts[role].name) for role in ("blocks", "ln_final", "unembed")
    )
    _PLAIN[model] = PlainModel(hf_model, blocks, norm, unembed, tuple(hf_model.parameters()))


def plain_of(model: HookedModel) -> PlainModel | None:
    """The plain model, if there is one that does at this moment what `model` does."""
    plain = _PLAIN.get(model)
    if plain is None or _has_hooks(model) or not _shares_weights(model, plain):
        return None
    state = (device_of(model), sum(parameter._version for parameter in plain.parameters))
    if plain.checked != state:
        plain.hf_model.to(device_of(model))  # its buffers: the parameters have moved already
        if not _agrees(model, plain):
            return None
        plain.checked = state
        plain.replays.clear()
    return plain


def _has_hooks(model: HookedModel) -> bool:
    """Whether somebody watches or edits the model.

    The bridge's own pre-hooks do neither, nor do those that transformers leaves on a model once it
    was asked for hidden states or attention, as `run_with_cache` does: they act when asked again.
    """
    return any(
        any(
            not _is_from("transformers.utils.output_capturing", hook)
            for hook in module._forward_hooks.values()
        )
        or module._backward_hooks
        or any(
            not _is_from("transformer_lens", hook) for hook in module._forward_pre_hooks.values()
        )
        for module in every_module(model)
    )


def _is_from(package: str, hook: Any) -> bool:
    return str(getattr(hook, "__module__", "")).startswith(package)


def _shares_weights(model: HookedModel, plain: PlainModel) -> bool:
    """Whether every parameter of the plain model is still one of the model's."""
    held = {id(p) for module in every_module(model) for p in module._parameters.values()}
    return all(id(parameter) in held for parameter in plain.parameters)


@torch.no_grad()
def _agrees(model: HookedModel, plain: PlainModel) -> bool:
    """Whether both give the same logits for a few tokens."""
    count = min(_PROBE, int(model.cfg.d_vocab), int(model.cfg.n_ctx))
    tokens = torch.arange(count, device=device_of(model))[None]
    modes = [(module, module.training) for module in plain.hf_model.modules()]
    plain.hf_model.eval()
    try:
        found: Tensor = plain.hf_model(tokens, use_cache=False).logits.float()
        expected = logits(model, tokens).float()
    finally:
        for module, training in modes:
            module.training = training
    allowed = TOLERANCE.get(plain.hf_model.dtype, HALF_PRECISION_TOLERANCE)
    return bool((found - expected).abs().max() <= allowed * expected.abs().max().clamp(min=1.0))


def is_block_input(model: HookedModel, hook: str) -> int | None:
    """The layer whose input `hook` names, or None for any other hook."""
    names = {f"blocks.{layer}.hook_resid_pre": layer for layer in range(n_layers(model))}
    return names.get(hook)
