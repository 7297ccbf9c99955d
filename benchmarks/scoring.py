"""The same texts scored under many vectors: what stands below them run once, against every time.

16 chat prompts with two completions each, under 8 vectors of one layer. Both score the same texts;
the baseline calls `log_prob` for each vector, the other one prepares them first, and that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import workbench as wb
from benchmarks.race import race
from benchmarks.rows import Row
from benchmarks.setting import PROMOTED, SUPPRESSED, Setting
from workbench.experiments.questions import VALIDATION
from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ids
from workbench.steering import Add, SteeringVector, log_prob
from workbench.steering.prepared import Prepared

NAME = "scoring"
ROUNDS = 5
LAYER = 15
PROMPTS, VECTORS = 16, 8
BASELINE, OURS = "log_prob, each vector by itself", "Prepared, then every vector"


def measure(setting: Setting) -> list[Row]:
    """Tokens a second of both, and the ratio of each round's two calls."""
    model = setting.model
    questions = [VALIDATION[i % len(VALIDATION)] for i in range(PROMPTS)]
    prompts = [wb.chat(model, question) for question in questions for _ in range(2)]
    completions = [PROMOTED, SUPPRESSED] * PROMPTS
    layer = min(LAYER, setting.layers - 1)
    vectors = [SteeringVector(10 * setting.start(i), layer) for i in range(VECTORS)]
    tokens = VECTORS * sum(
        len(part)
        for pair in zip(prompts, completions, strict=True)
        for part in completion_ids(model, *pair)
    )
    return race(
        NAME,
        f"{PROMPTS} prompts, 2 completions each, {VECTORS} vectors of layer {layer}, float32",
        _contestants(model, prompts, completions, vectors, layer),
        tokens=tokens,
        rounds=2 if setting.quick else ROUNDS,
        bound=1.0,
        how="the speed of one call a vector",
    )


def _contestants(
    model: HookedModel,
    prompts: list[str],
    completions: list[str],
    vectors: list[SteeringVector],
    layer: int,
) -> dict[str, Callable[[], Any]]:
    def each() -> Any:
        return [log_prob(model, prompts, completions, Add(vector)) for vector in vectors]

    def prepared() -> Any:
        held = Prepared.of(model, prompts, completions, layer)
        return [held.score(Add(vector)) for vector in vectors]

    return {BASELINE: each, OURS: prepared}
