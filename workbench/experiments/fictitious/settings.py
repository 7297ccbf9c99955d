"""Everything that the experiment on fictitious information could do otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FictitiousSettings:
    """TOML files beside have the values.

    The first `candidates` false claims are asked, and the first of them that are taken back are
    trained on. At each of `swept_layers` one vector of each method is made and asked
    `validation_claims`, and so is the difference of means at each of `layers`; at
    `measured_layers` (by method) `vectors` of each are asked `test_claims`, and random ones
    `random_claims`. `early_layer` is the first stage's of reentrant steering, and before all
    others. `suppress_end` also suppresses the end of the turn, wherever a retraction is suppressed.
    """

    layers: Sequence[int]
    swept_layers: Sequence[int]
    measured_layers: Mapping[str, int]
    early_layer: int
    learning_rate: float
    steps: int
    coldness: float
    max_norm: float
    suppressed_tokens: int
    suppress_end: bool
    completions: int
    completion_tokens: int
    candidates: int
    vectors: int
    random: int
    validation_claims: int
    test_claims: int
    random_claims: int
    train_claims: int
    answer_tokens: int = 48
    context: int = 2
    seed: int = 0
