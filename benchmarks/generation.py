"""Steered batched generation against plain Hugging Face `generate`, in turns in one process.

Both write the same number of tokens after the same 16 chat prompts, greedily, the end of turn
disabled. Hugging Face is given tokens, unsteered; ours is given texts, adds a random vector at
layer 10, and gives texts. A ratio over 1 means that ours is the faster one.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

import workbench as wb
from benchmarks.rows import spread
from benchmarks.setting import MODEL, plain_model, timed
from workbench.experiments.questions import VALIDATION
from workbench.models.hooked import HookedModel, d_model
from workbench.models.text import pad, prompt_ids

QUESTIONS = VALIDATION[:16]
NEW_TOKENS = 64
LAYER, NORM = 10, 25.0
BASELINE, STEERED = "Hugging Face, unsteered", "workbench, steered"


def measure(
    model: HookedModel,
    hf_model: PreTrainedModel,
    repeats: int = 5,
    new_tokens: int = NEW_TOKENS,
    layer: int = LAYER,
) -> list[dict[str, Any]]:
    """One record a contestant: name, median seconds, tokens per second, ratio, and all ratios.

    A ratio compares the two calls of one repeat. `hf_model` is an instance of its own.
    """
    contestants = _contestants(model, hf_model, new_tokens, layer)
    for call in contestants.values():  # what a first call does once is not timed
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in tqdm(range(repeats), desc="generation", unit="round"):
        # Each goes first in turn, so that a machine that speeds up or slows down favors neither.
        for name in sorted(contestants, reverse=repeat % 2 == 1):
            seconds[name].append(timed(contestants[name])[0])
    records = []
    for name, times in seconds.items():
        ratios = [theirs / own for theirs, own in zip(seconds[BASELINE], times, strict=True)]
        records.append(
            {
                "name": name,
                "seconds": median(times),
                "tokens_per_second": len(QUESTIONS) * new_tokens / median(times),
                "ratio": median(ratios),
                "ratios": ratios,
            }
        )
    return records


def _contestants(
    model: HookedModel, hf_model: PreTrainedModel, new_tokens: int, layer: int
) -> dict[str, Callable[[], Any]]:
    """The two calls, by name."""
    prompts = [wb.chat(model, question) for question in QUESTIONS]
    batch = pad(model, [prompt_ids(model, prompt) for prompt in prompts], side="left")
    values = torch.randn(d_model(model), generator=torch.Generator().manual_seed(0))
    steering = wb.Add(wb.SteeringVector(NORM * values / values.norm(), layer))
    limits = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}

    def theirs() -> torch.Tensor:
        return hf_model.generate(  # type: ignore[operator]
            batch.tokens, attention_mask=batch.attention_mask, do_sample=False, **limits
        )

    def ours() -> list[str]:
        return wb.generate(model, prompts, steering, progress=False, **limits)

    return {BASELINE: theirs, STEERED: ours}


def main() -> None:
    """Measure the embedded model and print."""
    for record in measure(wb.load_model(MODEL), plain_model()):
        print(
            f"{record['name']}: {record['seconds']:.2f} s, "
            f"{record['tokens_per_second']:.0f} tokens a second, ratio {record['ratio']:.3f} "
            f"({spread(record['ratios'])})"
        )


if __name__ == "__main__":
    main()
