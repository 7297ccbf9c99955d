"""What the workbench asks of a hooked model, and nothing more.

Two kinds satisfy it: TransformerLens 4's `TransformerBridge` (also in 3.9) and TransformerLens
3.9's `HookedTransformer`. Whatever differs between the two is written here once: how a forward
pass is watched, how one is cached, where the residual stream is written. The other rooms never
ask which kind they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformer_lens.hook_points import HookPoint
from transformers import PreTrainedModel


@runtime_checkable
class HookedModel(Protocol):
    """A decoder-only model with TransformerLens hook points."""

    cfg: Any
    tokenizer: Any
    blocks: Any
    hook_dict: dict[str, HookPoint]

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...


def is_bridge(model: HookedModel) -> bool:
    """Whether `model` wraps a Hugging Face module (`TransformerBridge`)."""
    from transformer_lens.model_bridge import TransformerBridge

    return isinstance(model, TransformerBridge)


def n_layers(model: HookedModel) -> int:
    """How many blocks the model has."""
    return int(model.cfg.n_layers)


def d_model(model: HookedModel) -> int:
    """The width of the residual stream."""
    return int(model.cfg.d_model)


def device_of(model: HookedModel) -> torch.device:
    """The device that tokens must be on."""
    return next(iter(model.parameters())).device


def dtype_of(model: HookedModel) -> torch.dtype:
    """The weights' dtype; `cfg.dtype` may say otherwise on a bridge."""
    return next(iter(model.parameters())).dtype


def check_layer(model: HookedModel, layer: int) -> int:
    """`layer` itself, if the model has it. Raises IndexError that names the range."""
    if not 0 <= layer < n_layers(model):
        raise IndexError(
            f"layer {layer} is out of range: this model has {n_layers(model)} layers, "
            f"0 to {n_layers(model) - 1}"
        )
    return layer


# ---- Hook points ----


def resid_pre(layer: int) -> str:
    """The hook at the input of block `layer`."""
    return f"blocks.{layer}.hook_resid_pre"


def resid_end(model: HookedModel) -> str:
    """The hook at the output of the last block."""
    return f"blocks.{n_layers(model) - 1}.hook_resid_post"


def stream_writes(model: HookedModel) -> list[str]:
    """Every hook whose output is written to the residual stream: embedding, attention, MLP.

    `hook_attn_out` and `hook_mlp_out` stand behind a block's post-norms where it has some, so
    what they carry is what is added. Editing a bridge's `hook_resid_mid` would change only what
    the MLP reads, and editing every `hook_resid_pre` would miss the attention-to-MLP path and the
    last block's output.
    """
    written = [
        f"blocks.{layer}.hook_{part}_out"
        for layer in range(n_layers(model))
        for part in ("attn", "mlp")
    ]
    known = model.hook_dict
    return [resid_pre(0), *(name for name in written if name in known)]


def hook_point(model: HookedModel, name: str) -> HookPoint:
    """The hook point called `name`. Raises KeyError that says how names look."""
    try:
        return model.hook_dict[name]
    except KeyError:
        raise KeyError(
            f"the model has no hook {name!r}; residual-stream hooks are called "
            f"'blocks.0.hook_resid_pre' to 'blocks.{n_layers(model) - 1}.hook_resid_post'"
        ) from None


# ---- Watching forward passes ----


@dataclass(frozen=True)
class ForwardCall:
    """What one forward pass was given.

    `past` counts the columns already in the key-value cache; `attention_mask` covers those and
    the new ones, 1 where a token is real.
    """

    batch: int
    width: int
    past: int
    tokens: Int[Tensor, "batch pos"] | None
    attention_mask: Int[Tensor, "batch total"] | None


@contextmanager
def watch_forwards(
    model: HookedModel | PreTrainedModel, on_call: Callable[[ForwardCall], None]
) -> Iterator[None]:
    """Call `on_call` before the first block of every forward pass inside the context."""
    handles = _watch(model, on_call)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watch(
    model: HookedModel | PreTrainedModel, on_call: Callable[[ForwardCall], None]
) -> list[RemovableHandle]:
    """Watch whichever kind it is."""
    if isinstance(model, PreTrainedModel):
        return _watch_hf(model, on_call)
    if is_bridge(model):
        return _watch_hf(model.original_model, on_call)  # type: ignore[union-attr]
    return _watch_blocks(model, on_call)


def _watch_hf(hf_model: nn.Module, on_call: Callable[[ForwardCall], None]) -> list[RemovableHandle]:
    """Watch a Hugging Face model; every pass of the bridge around one goes through it."""

    def before_hf(module: nn.Module, args: tuple, kwargs: dict) -> None:
        tokens = args[0] if args else kwargs.get("input_ids")
        shaped = tokens if tokens is not None else kwargs["inputs_embeds"]
        mask = kwargs.get("attention_mask")
        cache = kwargs.get("past_key_values")
        on_call(
            ForwardCall(
                batch=shaped.shape[0],
                width=shaped.shape[1],
                past=int(cache.get_seq_length()) if cache is not None else 0,
                tokens=tokens,
                attention_mask=mask if _is_padding_mask(mask) else None,
            )
        )

    return [hf_model.register_forward_pre_hook(before_hf, with_kwargs=True)]


def _watch_blocks(
    model: HookedModel, on_call: Callable[[ForwardCall], None]
) -> list[RemovableHandle]:
    """Watch a `HookedTransformer`'s embedding and blocks.

    Its own methods call `forward` past PyTorch's hooks, and `start_at_layer` begins at any block:
    a pass begins where a block does not go on with what the block before it was given.
    """
    tokens: Tensor | None = None
    expected: tuple[int, torch.Size, int] | None = None

    def before_embed(module: nn.Module, args: tuple, kwargs: dict) -> None:
        nonlocal tokens, expected
        tokens, expected = args[0], None

    def before_block(index: int, module: nn.Module, args: tuple, kwargs: dict) -> None:
        nonlocal tokens, expected
        resid, mask = args[0], kwargs.get("attention_mask")
        goes_on = expected == (index, resid.shape, id(mask))
        expected = (index + 1, resid.shape, id(mask))
        if goes_on:
            return
        batch, width = resid.shape[:2]
        cached = kwargs.get("past_kv_cache_entry")
        known = tokens is not None and tokens.shape == (batch, width)
        on_call(
            ForwardCall(
                batch=batch,
                width=width,
                past=int(cached.past_keys.shape[1]) if cached is not None else 0,
                tokens=tokens if known else None,
                attention_mask=mask if _is_padding_mask(mask) else None,
            )
        )
        tokens = None

    watched = [(model.embed, before_embed)]  # type: ignore[attr-defined]
    watched += [(block, partial(before_block, i)) for i, block in enumerate(model.blocks)]
    return [module.register_forward_pre_hook(hook, with_kwargs=True) for module, hook in watched]


def _is_padding_mask(mask: Any) -> bool:
    """Whether it is a plain (batch, total) mask rather than a 4-D one or one per layer type."""
    return isinstance(mask, Tensor) and mask.ndim == 2


# ---- Running ----


def logits(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of every position; rows may be padded on either side where a mask says so."""
    # Without a key-value cache, which a single pass would fill for nobody.
    options = {"use_cache": False} if is_bridge(model) else {}
    return model(tokens, attention_mask=attention_mask, return_type="logits", **options)


@contextmanager
def undisturbed(model: HookedModel) -> Iterator[None]:
    """Weights frozen and dropout off inside; every flag as it was found afterwards."""
    modules = list(every_module(model))
    parameters = {p for module in modules for p in module._parameters.values() if p is not None}
    training = [(module, module.training) for module in modules]
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        _set_training((module, False) for module in modules)
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        _set_training(training)
        for parameter in trainable:
            parameter.requires_grad_(True)


def weights_version(model: HookedModel) -> int:
    """A number that changes when a weight is changed."""
    held = {p for module in every_module(model) for p in module._parameters.values()}
    return sum(parameter._version for parameter in held if parameter is not None)


def _set_training(flags: Iterable[tuple[nn.Module, bool]]) -> None:
    """Where it differs only: a module's attributes are slow to set, and a bridge has thousands."""
    for module, training in flags:
        if module.training != training:
            module.training = training


def every_module(model: HookedModel) -> Iterator[nn.Module]:
    """Each module once: the model's own, and those of the Hugging Face model inside a bridge.

    `nn.Module.modules` takes ten times as long, and a bridge has thousands.
    """
    waiting: list[Any] = [model]
    if is_bridge(model):
        waiting.append(model.original_model)  # type: ignore[attr-defined]
    seen: set[nn.Module] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            yield module
            waiting.extend(child for child in module._modules.values() if child is not None)
