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
from benchmarks.rows import Row, spread
from benchmarks.setting import Setting, timed
from workbench.experiments.questions import VALIDATION
from workbench.models.hooked import HookedModel, d_model
from workbench.models.text import pad, prompt_ids

NAME = "generation"
ROUNDS = 5
BOUND = 0.97
QUESTIONS = VALIDATION[:16]
NEW_TOKENS = 64
LAYER, NORM = 10, 25.0
BASELINE, STEERED = "Hugging Face, unsteered", "workbench, steered"


def measure(setting: Setting) -> list[Row]:
    """Tokens a second of both, and the ratio of each round's two calls."""
    rounds, new_tokens = (2, 16) if setting.quick else (ROUNDS, NEW_TOKENS)
    contestants = _contestants(setting.model, setting.hf_model, new_tokens)
    for call in contestants.values():  # what a first call does once is not timed
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for i in tqdm(range(rounds), desc=NAME, unit="round"):
        # Each goes first in turn, so that a machine that speeds up or slows down favors neither.
        for name in sorted(contestants, reverse=i % 2 == 1):
            seconds[name].append(timed(contestants[name])[0])
    tokens = len(QUESTIONS) * new_tokens
    case = f"{len(QUESTIONS)} prompts, {new_tokens} new tokens, float32"
    rows = [
        Row(
            NAME,
            f"{name}: {case}",
            tokens / median(times),
            "tokens/s",
            how=f"{median(times):.1f} s; {spread([tokens / each for each in times], 0)}",
            data={"seconds": times},
        )
        for name, times in seconds.items()
    ]
    ratios = [a / b for a, b in zip(seconds[BASELINE], seconds[STEERED], strict=True)]
    how = f"the speed of Hugging Face, unsteered; {spread(ratios)}"
    return [*rows, Row(NAME, f"ratio: {case}", median(ratios), "x", BOUND, how=how)]


def _contestants(
    model: HookedModel, hf_model: PreTrainedModel, new_tokens: int
) -> dict[str, Callable[[], Any]]:
    """The two calls, by name."""
    prompts = [wb.chat(model, question) for question in QUESTIONS]
    batch = pad(model, [prompt_ids(model, prompt) for prompt in prompts], side="left")
    values = torch.randn(d_model(model), generator=torch.Generator().manual_seed(0))
    steering = wb.Add(wb.SteeringVector(NORM * values / values.norm(), LAYER))
    limits = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}

    def theirs() -> torch.Tensor:
        return hf_model.generate(  # type: ignore[operator]
            batch.tokens, attention_mask=batch.attention_mask, do_sample=False, **limits
        )

    def ours() -> list[str]:
        return wb.generate(model, prompts, steering, progress=False, **limits)

    return {BASELINE: theirs, STEERED: ours}
