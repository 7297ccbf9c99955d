"""Low-rank factors on a model's linear layers (peft), to train and to take off again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@contextmanager
def low_rank(
    hf_model: PreTrainedModel,
    *,
    rank: int,
    alpha: int | float,
    modules: Sequence[str] = LINEAR,
    first_layer: int = 0,
    seed: int = 0,
) -> Iterator[Any]:
    """peft's wrapper with new factors, which alone require gradients; the model is left as found.

    Layers below `first_layer` get none. The global random stream is seeded inside, for the factors
    and for dropout, and is outside what it was. Raises ModuleNotFoundError without peft.
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(modules),
        layers_to_transform=list(range(first_layer, hf_model.config.num_hidden_layers)),
        bias="none",
    )
    asked = {p: p.requires_grad for p in hf_model.parameters()}
    modes = {module: module.training for module in hf_model.modules()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = peft.get_peft_model(hf_model, config)
        try:
            yield wrapped
        finally:
            wrapped.unload()
            for module, training in modes.items():
                module.training = training
            for parameter, requires_grad in asked.items():
                parameter.requires_grad_(requires_grad)


def factors_of(wrapped: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """The factors as they are now, by the name of the module they belong to."""
    found = {}
    for name, module in wrapped.base_model.model.named_modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            pair = (module.lora_A["default"].weight, module.lora_B["default"].weight)
            a, b = (each.detach().cpu().clone() for each in pair)
            found[name] = (a, b)
    return found


def trained_parameters(wrapped: nn.Module) -> list[nn.Parameter]:
    """What requires a gradient."""
    return [p for p in wrapped.parameters() if p.requires_grad]


def _peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "training an adapter needs peft: pip install 'steering-workbench[train]'"
        ) from error
    return peft
