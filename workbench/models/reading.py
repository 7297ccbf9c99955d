"""Read a Hugging Face model's weights, one thread at a time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

_READING = threading.Lock()


def read_causal_lm(source: str | Path, dtype: torch.dtype, **options: Any) -> PreTrainedModel:
    """`AutoModelForCausalLM.from_pretrained`, safe to call from several threads.

    While it reads, transformers swaps `PreTrainedModel.tie_weights` for a function that does
    nothing. Of two threads that read at once, the later one takes the first one's swap for the
    original and puts that back: from then on no model of the process has its weights tied.
    """
    with _READING:
        return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, **options)
