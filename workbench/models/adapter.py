"""Low-rank adapters in peft's own format, merged into a model without peft.

An adapter is a folder with `adapter_config.json` and `adapter_model.safetensors`, as peft writes
them, so that peft can load it too. Merging adds `alpha / rank · B A` to each weight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from workbench.files import write_text, written_whole
from workbench.models.loading import from_hf, read_model

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_KINDS = ("lora_A", "lora_B")


class AdapterError(ValueError):
    """An adapter that is missing, damaged, or made for another model: the message says which."""


@dataclass(frozen=True)
class Adapter:
    """Factors by module: `A` is [rank, inputs], `B` [outputs, rank]; `facts` says how it was made.

    `parent` is the name and `parent_revision` the revision of the model it was trained on.
    """

    parent: str
    parent_revision: str | None
    alpha: int | float
    factors: Mapping[str, tuple[Tensor, Tensor]]
    facts: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """The largest rank among its factors."""
        return max(len(a) for a, _ in self.factors.values())

    def save(self, folder: str | Path) -> Path:
        """Write the folder that peft would, its factors in float16. Returns the folder."""
        folder = Path(folder)
        tensors = {
            f"{_PREFIX}{module}.{kind}.weight": factor.detach().half().cpu().contiguous()
            for module, factors in self.factors.items()
            for kind, factor in zip(_KINDS, factors, strict=True)
        }
        metadata = {
            "parent": self.parent,
            "parent_revision": self.parent_revision or "",
            "facts": json.dumps(dict(self.facts), sort_keys=True),
        }
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.parent,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": sorted({module.rsplit(".", 1)[-1] for module in self.factors}),
            "bias": "none",
            "inference_mode": True,
        }
        with written_whole(folder / WEIGHTS) as part:
            save_file(tensors, part, metadata=metadata)
        write_text(folder / CONFIG, json.dumps(config, indent=1) + "\n")
        return folder


def load_adapter(folder: str | Path) -> Adapter:
    """Read an adapter. Raises AdapterError for a missing file, or one that is no adapter."""
    folder = Path(folder)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise AdapterError(f"there is no adapter in {folder}: it lacks {' and '.join(missing)}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        factors = _factors(tensors)
        return Adapter(
            parent=metadata.get("parent") or config["base_model_name_or_path"],
            parent_revision=metadata.get("parent_revision") or None,
            alpha=config["lora_alpha"],
            factors=factors,
            facts=json.loads(metadata.get("facts", "{}")),
        )
    except AdapterError:
        raise
    except (
        AttributeError,
        LookupError,
        RecursionError,
        SafetensorError,
        TypeError,
        ValueError,
    ) as error:
        raise AdapterError(f"the adapter in {folder} could not be read: {error!r}") from error


def adapter_hash(folder: str | Path) -> str:
    """The first 12 digits of the weights' SHA-256: which adapter it is."""
    return hashlib.sha256((Path(folder) / WEIGHTS).read_bytes()).hexdigest()[:12]


@torch.no_grad()
def merge(hf_model: nn.Module, adapter: Adapter) -> None:
    """Add the adapter to the model's weights, in place.

    Raises AdapterError, with nothing changed, where a module is missing or has another shape.
    """
    parameters = dict(hf_model.named_parameters())
    weights: dict[str, Tensor] = {}
    for name, (a, b) in adapter.factors.items():
        weight = parameters.get(f"{name}.weight")
        found = None if weight is None else tuple(weight.shape)
        if weight is None or found != (len(b), a.shape[1]):
            raise AdapterError(
                f"this adapter is not one for this model: {name} should be "
                f"{(len(b), a.shape[1])}, and is {found or 'not there'}. "
                f"It was made for {adapter.parent}"
            )
        weights[name] = weight
    for name, merged in weights.items():
        a, b = (factor.float().to(merged.device) for factor in adapter.factors[name])
        merged.copy_(merged.float() + adapter.alpha / len(a) * (b @ a))


def load_adapted(
    adapter: Adapter,
    name: str,
    revision: str | None = None,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "auto",
) -> TransformerBridge:
    """A hooked model: the adapter's parent with the adapter merged, called `{parent}+{name}`.

    Raises AdapterError where the parent is not at the revision the adapter was made for.
    """
    hf_model, tokenizer, shown, found = read_model(adapter.parent, dtype)
    if adapter.parent_revision not in (None, found):
        raise AdapterError(
            f"the adapter {name} was made for revision {adapter.parent_revision} of {shown}, "
            f"and here is revision {found}"
        )
    merge(hf_model, adapter)
    return from_hf(hf_model, tokenizer, name=f"{shown}+{name}", revision=revision, device=device)


def _factors(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of factors by module name. Raises KeyError where a half is missing."""
    endings = {f".{kind}.weight" for kind in _KINDS}
    modules = {name.removeprefix(_PREFIX) for name in tensors}
    for ending in endings:
        modules = {name.removesuffix(ending) for name in modules}
    return {
        module: (
            tensors[f"{_PREFIX}{module}.lora_A.weight"],
            tensors[f"{_PREFIX}{module}.lora_B.weight"],
        )
        for module in sorted(modules)
    }
