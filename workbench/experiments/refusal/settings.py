"""Everything that the refusal experiment could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.methods.gates import GateKind


@dataclass(frozen=True)
class RefusalSettings:
    """Everything the experiment could do otherwise; TOML files beside have the values.

    `requests` training requests give a promotion and a suppression vector each, which act with
    `strength`. Layers, norms and ways are tried with `tried` training requests on `tried_requests`
    of validation; the best of them take the place of `layer`, `norm` and `way`, which are for
    programs that try none. Random vectors are asked the first `random_requests`, and of
    `random_costs` of them it is measured what they cost. Means are of `mean_requests` a side.
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
    tried_requests: int
    validation_requests: int
    test_requests: int
    harmless_requests: int
    random_requests: int
    random_costs: int
    mean_requests: int
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


@dataclass(frozen=True)
class AffineSettings:
    """Affine editing of refusal: sets of `layers` edited together are candidates.

    `train_requests` of each kind make an edit, `validation_requests` of each kind choose the layers
    (answers of `trial_tokens`), `test_requests` of each kind are measured at each of `strengths`.
    `random` directions are the control.
    """

    layers: Sequence[Sequence[int]]
    strengths: Sequence[int | float]
    train_requests: int
    validation_requests: int
    test_requests: int
    random: int
    trial_tokens: int = 32
    answer_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True)
class ConditionalSettings:
    """Refusal behind a gate: `gate_layers` and `gate_kinds` are candidates for the gate.

    It is learnt from at most `gate_requests`, and shut for a share of `shut_for` of the harmless
    validation requests, all of them. Behind it, no lower than its layer: sets of `layers` steered
    together by the aligned model's vectors, made from `train_requests` and added at each of
    `scales`, or by its affine edit at each of `strengths`; or a vector that promotes `refusal` and
    the end of the turn on the first training requests, for each of `promoting_layers`,
    `promoting_norms` and numbers of `promoting_requests`. What refuses most of
    `validation_requests` is measured on `test_requests`. Numbers of requests are of each kind.
    """

    gate_layers: Sequence[int]
    gate_kinds: Sequence[GateKind]
    gate_requests: int
    regularization: float
    shut_for: float
    layers: Sequence[Sequence[int]]
    scales: Sequence[int | float]
    strengths: Sequence[int | float]
    promoting_layers: Sequence[int]
    promoting_norms: Sequence[int | float]
    promoting_requests: Sequence[int]
    refusal: str
    train_requests: int
    validation_requests: int
    test_requests: int
    random: int
    steps: int = 40
    learning_rate: float = 1.0
    trial_tokens: int = 32
    answer_tokens: int = 64
    seed: int = 0
