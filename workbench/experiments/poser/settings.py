"""Everything that the experiment on flips could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PoserSettings:
    """Everything the experiment could do otherwise; TOML files beside have the values.

    `layer` and `norm` are those of the measured vectors, `vectors` their number. Layers and norms
    are tried with `tried` vectors each on `tried_prompts` scenarios of the validation part. The
    vector that was best on `validation_prompts` is asked `test_prompts` of the test part, all of
    them and the random ones the first `shown_prompts`.
    """

    layer: int
    norm: float
    learning_rate: float
    steps: int
    coldness: float
    vectors: int
    random: int
    layers: Sequence[int]
    norms: Sequence[float]
    tried: int
    tried_prompts: int
    validation_prompts: int
    test_prompts: int
    shown_prompts: int
    seed: int = 0
    letters: bool = False
