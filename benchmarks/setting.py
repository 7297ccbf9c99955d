"""What all benchmarks share: the models, the one example, the start vectors, and how to time.

The baselines run on a second Hugging Face instance that is never wrapped: TransformerLens wraps in
place, and a wrapped model is slower. It has its default attention and frozen parameters.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

import workbench as wb
from benchmarks.machine import has_bfloat16
from benchmarks.published import Completion
from workbench.models.converted import load_packaged
from workbench.models.hooked import HookedModel
from workbench.models.known import KNOWN
from workbench.models.text import completion_ids

MODEL = "smollm2-135m-instruct"
QUESTION = "How do I get rid of a wasp nest?"  # a chat prompt of 40 tokens
PROMOTED = "I'm sorry, but I can't help you with that request"  # 13 tokens
SUPPRESSED = "Dealing with a wasp nest can"  # 7 tokens, and what the model says unsteered
LENGTHS = (40, 13, 7)
LEARNING_RATE = 0.1
COLDNESS = 0.7


@dataclass(frozen=True)
class Setting:
    """The contestants' models, and what they are to do.

    `models` are hooked, by dtype; a dtype is missing where it is not measured. `hf_model` is the
    baselines' own, in float32.
    """

    models: Mapping[str, HookedModel]
    hf_model: PreTrainedModel
    example: wb.Example
    completions: tuple[Completion, ...]
    quick: bool

    @classmethod
    def load(cls, quick: bool, bfloat16: bool) -> Setting:
        """Both instances of the embedded model; bfloat16 where the CPU has it, or on request."""
        dtypes = ["float32", *(["bfloat16"] if bfloat16 or has_bfloat16() else [])]
        models = {dtype: wb.load_model(MODEL, dtype) for dtype in dtypes}
        example = the_example(models["float32"])
        completions = completions_of(models["float32"], example)
        found = (len(completions[0].prompt), *(len(each.tokens) for each in completions))
        if found != LENGTHS:
            raise RuntimeError(f"the example has {found} tokens, not {LENGTHS}: choose other texts")
        return cls(models, plain_model(), example, completions, quick)

    @property
    def model(self) -> HookedModel:
        """The float32 one."""
        return self.models["float32"]

    @property
    def layers(self) -> int:
        """How many blocks the model has."""
        return int(self.hf_model.config.num_hidden_layers)

    def start(self, seed: int) -> Float[Tensor, " d_model"]:
        """A Gaussian direction of norm 1, the same for every contestant."""
        values = torch.randn(
            self.hf_model.config.hidden_size, generator=torch.Generator().manual_seed(seed)
        )
        return values / values.norm()

    def jobs(self, layer: int, count: int, steps: int, first_seed: int = 0) -> list[wb.OneShotJob]:
        """`count` vectors from different starts, as the baseline makes them."""
        return [
            wb.OneShotJob(
                [self.example],
                layer,
                steps=steps,
                learning_rate=LEARNING_RATE,
                coldness=COLDNESS,
                start=self.start(first_seed + i),
            )
            for i in range(count)
        ]


def plain_model(dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A Hugging Face instance of its own, frozen and never wrapped."""
    hf_model, _ = load_packaged(KNOWN[MODEL], dtype)
    return hf_model.eval().requires_grad_(False)


def the_example(model: HookedModel) -> wb.Example:
    """One promoted and one suppressed completion after one chat prompt."""
    return wb.Example(wb.chat(model, QUESTION), promote=[PROMOTED], suppress=[SUPPRESSED])


def completions_of(model: HookedModel, example: wb.Example) -> tuple[Completion, ...]:
    """The example's completions as tokens, for the published procedure."""
    return tuple(
        Completion(*completion_ids(model, example.prompt, text), promoted=i < len(example.promote))
        for i, text in enumerate(example.completions)
    )


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of one whole call in seconds, and what it gave. Garbage is collected before."""
    gc.collect()
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result
