"""Everything that the refusal experiment could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RefusalSettings:
    """Everything the experiment could do otherwise; TOML files beside have the values.

    `requests` training requests give a promotion and a suppression vector each. The vectors act as
    `way` with `strength` when measured. Layers, norms and ways are tried with `tried` requests.
    """

    layer: int
    norm: float
    way: str
    strength: float
    learning_rate: float
    steps: int
    coldness: float
    target_loss: float
    target_tokens: int
    refusal_tokens: int
    requests: int
    random: int
    layers: Sequence[int]
    norms: Sequence[float]
    tried: int
    validation_requests: int
    test_requests: int
    harmless_requests: int
    answer_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True)
class ComparisonSettings:
    """What the comparison with the refusal direction adds to the vectors of the experiment.

    `requests` training requests give a promotion and a suppression vector each, fewer than there.
    `mean_requests` of each kind give the means, `direction_requests` of each kind the metric, and
    as many others the candidates' scores. `layers` and the last `tokens` are candidates, whose KL
    (nats) may be `largest_kl`.
    """

    one_shot: RefusalSettings
    requests: int
    layers: Sequence[int]
    tokens: int
    largest_kl: float
    mean_requests: int
    direction_requests: int
    harmless: int
    random: int
