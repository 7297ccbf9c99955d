"""Get a hooked model: by known name, hub id, local folder, or from an object in hand."""

from __future__ import annotations

import tempfile
import timeit
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from workbench.models.converted import load_packaged
from workbench.models.identity import LoadFacts, remember
from workbench.models.known import KNOWN, nearest_names
from workbench.models.plain import keep_plain, sharing_copy
from workbench.models.reading import read_causal_lm

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    name: str = "smollm2-135m-instruct",
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "auto",
    *,
    compatibility_mode: bool = False,
    revision: str | None = None,
    **boot_options: Any,
) -> TransformerBridge:
    """A hooked model, by a known short name, a hub id, or a local Hugging Face folder.

    Weights stay as they are (raw basis) unless `compatibility_mode` asks TransformerLens to fold
    norms and centre weights: vectors of the two bases do not mix. `device="auto"` takes CUDA
    where there is one. A model larger than one GPU: `n_devices=2` spreads its blocks over two,
    `device_map` ("auto", or names of modules with their devices) and `max_memory` say how, as in
    TransformerLens, to which other `boot_options` go.

    Raises ValueError for a name that is nothing, with the nearest known ones; ModelFetchError
    where a packaged model cannot be fetched. Never runs code that comes with a model.
    """
    placed = _placement(boot_options, device)
    hf_model, tokenizer, shown, revision = read_model(name, dtype, revision, **placed)
    return from_hf(
        hf_model,
        tokenizer,
        name=shown,
        revision=revision,
        device=None if placed else device,
        compatibility_mode=compatibility_mode,
        **boot_options,
    )


def _placement(boot_options: dict[str, Any], device: str | torch.device) -> dict[str, Any]:
    """What says where weights go, taken out of the options: it is needed when they are read.

    Raises ValueError for more devices than there are, and for a `device` besides.
    """
    names = ("n_devices", "device_map", "max_memory")
    asked = {name: boot_options.pop(name, None) for name in names}
    if not any(asked.values()):
        return {}
    from transformer_lens.utilities.multi_gpu import resolve_device_map  # not in version 3

    alone = None if device == "auto" else device
    device_map, memory = resolve_device_map(**asked, device=alone)
    return {} if device_map is None else {"device_map": device_map, "max_memory": memory}


@lru_cache
def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether `device` multiplies faster in bfloat16 than in float32, measured once on a CPU.

    Instructions for it do not tell: with those of AVX-512 alone float32 is often twice as fast.
    """
    if device.type != "cpu":
        return True
    return _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """The least seconds of five products as large as a small model's MLP makes."""
    activations, weights = torch.ones(256, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)
    product = "torch.nn.functional.linear(activations, weights)"
    names = {"torch": torch, "activations": activations, "weights": weights}
    return min(timeit.repeat(product, repeat=5, number=2, globals=names))


def read_model(
    name: str,
    dtype: str | torch.dtype = "float32",
    revision: str | None = None,
    **placed: Any,
) -> tuple[PreTrainedModel, Tokenizer, str, str | None]:
    """Model and tokenizer as `load_model` reads them, not wrapped, with the name and the revision.

    What is to be done to the weights themselves (merge an adapter, train one) is done here,
    before `from_hf`. `placed` says on which devices, as transformers takes it. Raises as
    `load_model` does.
    """
    dtype = _dtype(dtype)
    if name in KNOWN:
        if revision is not None:
            raise ValueError(f"{name} is one fixed file: it has no revision to choose")
        if placed:
            raise ValueError(
                f"{name} is small: it is loaded on one device, not spread over several"
            )
        return *load_packaged(KNOWN[name], dtype), name, KNOWN[name].gguf_sha256[:12]
    hf_model, tokenizer = _from_pretrained(name, dtype, revision, **placed)
    shown = Path(name).resolve().name if Path(name).is_dir() else name
    return hf_model, tokenizer, shown, revision or getattr(hf_model.config, "_commit_hash", None)


def from_hf(
    hf_model: PreTrainedModel,
    tokenizer: Tokenizer,
    *,
    name: str | None = None,
    revision: str | None = None,
    device: str | torch.device | Literal["auto"] | None = None,
    compatibility_mode: bool = False,
    **boot_options: Any,
) -> TransformerBridge:
    """Wrap a Hugging Face model in hand, in place: weights are shared, not copied.

    After wrapping, `hf_model` cannot be saved any more and runs slower: save it first. It stays
    on its device unless one is given, and on its devices where it was spread over several.
    """
    if hf_model.config.architectures is None:  # a model built from a config has none
        hf_model.config.architectures = [type(hf_model).__name__]
    name = name or hf_model.config._name_or_path or type(hf_model).__name__
    facts = facts_before(hf_model, tokenizer, name, revision)
    hf_model.eval()
    dispatched = bool(getattr(hf_model, "hf_device_map", None))
    target = None
    if not dispatched:
        target = hf_model.device if device is None else as_device(device)
        hf_model = hf_model.to(target)
    plain = None if dispatched or compatibility_mode else sharing_copy(hf_model)
    with tempfile.TemporaryDirectory() as folder:
        if not _has_path(tokenizer):  # TransformerLens makes it anew from its files
            tokenizer.save_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        model = TransformerBridge.boot_transformers(
            name,
            hf_model=hf_model,
            tokenizer=tokenizer,
            device=target,
            dtype=hf_model.dtype,
            **boot_options,
        )
    if compatibility_mode:
        model.enable_compatibility_mode()
    if plain is not None:
        keep_plain(model, plain)
    remember(model, facts)
    return model


def facts_before(
    hf_model: PreTrainedModel, tokenizer: Tokenizer, name: str, revision: str | None = None
) -> LoadFacts:
    """What is known of a model and its tokenizer before they are wrapped."""
    return LoadFacts(
        name=name,
        revision=revision,
        adds_bos=adds_bos(tokenizer),
        stop_ids=_stop_ids(hf_model, tokenizer),
    )


def _from_pretrained(
    name: str, dtype: torch.dtype, revision: str | None, **placed: Any
) -> tuple[PreTrainedModel, Tokenizer]:
    """Model and tokenizer of a hub id or folder, or a ValueError that says what was tried."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        hf_model = read_causal_lm(name, dtype, revision=revision, **placed)
    except (OSError, ValueError) as error:
        if Path(name).is_dir():
            where = f"the folder {name!r} does not hold a model that transformers can read"
        else:
            near = nearest_names(name)
            hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
            where = (
                f"{name!r} is not a known name{hint}, not a folder here, and the hub did not give "
                f"it. Known names: {', '.join(KNOWN)}"
            )
        raise ValueError(f"{where}. transformers says: {_first_line(error)}") from error
    return hf_model, tokenizer


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def as_device(device: str | torch.device) -> torch.device:
    """A device by its name; "auto" is CUDA where there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def adds_bos(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer itself puts a BOS before a text."""
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("a")["input_ids"][:1] == [bos]


def _stop_ids(hf_model: PreTrainedModel, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that end an answer: chat models often list more than the tokenizer's EOS."""
    configured = getattr(hf_model.generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({int(i) for i in [*listed, tokenizer.eos_token_id] if i is not None}))


def _has_path(tokenizer: Tokenizer) -> bool:
    return bool(tokenizer.init_kwargs.get("name_or_path"))
