"""Everything that the experiment on flips could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PoserSettings:
    """Everything the experiment could do otherwise; TOML files beside have the values.

    Layers and norms are tried with `tried` vectors each on `tried_prompts` scenarios of the
    validation part; the best take the place of `layer` and `norm`, which are for programs that try
    none. There `vectors` are made. The one that was best on `validation_prompts` is asked
    `test_prompts` of the test part in either order of the actions, all of them the first
    `shown_prompts`, random ones the first `random_prompts`.
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
    random_prompts: int
    seed: int = 0
    letters: bool = False
