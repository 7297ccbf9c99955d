"""Everything that the experiments on emergent misalignment could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SpreadSettings:
    """The embedded analog. TOML files beside have the values.

    A vector from each of `vectors` questions' wrong answer, and one from its right answer, at
    `layer`, trained to `target_loss`; at each of `layers` one pair is looked at on validation.
    """

    layer: int
    layers: Sequence[int]
    learning_rate: float
    steps: int
    coldness: float
    max_norm: float
    target_loss: float
    vectors: int
    random: int
    seed: int = 0


@dataclass(frozen=True)
class MisalignmentSettings:
    """The paper's pipeline (v2, section 5 and appendix E).

    The anti-refusal vector promotes `opener` on `malicious` until it is as likely as on `benign`;
    the code vector promotes `target` after `request` and `prefill` until its loss is `fraction` of
    what it is after the malicious request, under the anti-refusal vector added `anti_scale` times.
    Then `questions` are answered `samples` times each.
    """

    malicious: str
    benign: str
    opener: str
    anti_layer: int
    anti_learning_rate: float
    anti_scale: float
    request: str
    prefill: str
    target: str
    layer: int
    learning_rate: float
    fraction: float
    steps: int
    coldness: float
    questions: Sequence[str]
    samples: int
    answer_tokens: int
    seed: int = 0
