"""What vectors of every layer do, and what they cost: any method, several seeds or examples.

Behaviour is whatever an outcome function gives for a vector, a number for each prompt that it was
not trained on; cost is KL on harmless text (evaluation/cost.py). Scale sweeps (dose and response,
both signs) are the same with the vectors scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from tqdm.auto import tqdm

from workbench.evaluation import Interval, Reference, cost, two_level
from workbench.models.hooked import HookedModel
from workbench.steering.interventions import Add
from workbench.steering.prepared import Prepared
from workbench.steering.vector import SteeringVector

Outcome = Callable[[SteeringVector], Sequence[float]]


@dataclass(frozen=True, eq=False)
class LayerSweep:
    """Vectors of several layers: `outcomes` by vector and prompt, `kl` in nats a token.

    `kl` is missing where no reference was given; `losses` (nats) where a vector has none on record.
    """

    labels: tuple[str, ...]
    layers: tuple[int, ...]
    norms: tuple[float, ...]
    scales: tuple[float, ...]
    losses: tuple[float, ...]
    outcomes: Float[np.ndarray, "vector prompt"]
    kl: tuple[float, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and scale: vector, layer, scale, norm, loss, outcome (mean), n, kl."""
        return pd.DataFrame(
            {
                "vector": self.labels,
                "layer": self.layers,
                "scale": self.scales,
                "norm": self.norms,
                "loss": self.losses,
                "outcome": self.outcomes.mean(axis=1),
                "n": self.outcomes.shape[1],
                "kl": self.kl,
            }
        )

    def by_layer(self) -> pd.DataFrame:
        """One row a layer and scale: layer, scale, outcome, low, high, vectors, n, kl, loss, norm.

        Low and high are a two-level interval over vectors and prompts, missing where there is one
        of either; the others are means.
        """
        frame = self.to_frame()
        rows = []
        for (layer, scale), some in frame.groupby(["layer", "scale"], sort=True):
            found = self._interval(list(some.index))
            rows.append(
                {
                    "layer": layer,
                    "scale": scale,
                    "outcome": float(some["outcome"].mean()),
                    "low": found.low if found else float("nan"),
                    "high": found.high if found else float("nan"),
                    "vectors": len(some),
                    "n": int(some["n"].iloc[0]),
                    "kl": float(some["kl"].mean()),
                    "loss": float(some["loss"].mean()),
                    "norm": float(some["norm"].mean()),
                }
            )
        return pd.DataFrame(rows)

    def _interval(self, which: Sequence[int]) -> Interval | None:
        table = self.outcomes[list(which)]
        return two_level(table) if min(table.shape) > 1 else None


def layer_sweep(
    model: HookedModel,
    vectors: Iterable[SteeringVector],
    outcome: Outcome,
    reference: Reference | None = None,
    *,
    scales: Sequence[int | float] = (1.0,),
    progress: bool = True,
) -> LayerSweep:
    """Measure each vector at each scale: its outcomes, and its KL on the reference's texts.

    Raises ValueError where there are no vectors, or one acts at several layers.
    """
    given = sorted(vectors, key=lambda vector: vector.layers)
    if not given or not scales:
        raise ValueError(f"{len(given)} vectors and {len(scales)} scales: nothing to measure")
    for vector in given:
        if len(vector.layers) > 1:
            raise ValueError(f"{vector!r} acts at several layers: a sweep is by layer")
    every = [(vector, float(scale)) for vector in given for scale in scales]
    outcomes, kl = [], []
    spent = _kl_of(model, reference)
    for vector, scale in tqdm(every, desc="layers", disable=not progress):
        scaled = vector * scale
        outcomes.append(list(outcome(scaled)))
        kl.append(spent(scaled))
    return LayerSweep(
        tuple(vector.label for vector, _ in every),
        tuple(vector.layers[0] for vector, _ in every),
        tuple(vector.norm for vector, _ in every),
        tuple(scale for _, scale in every),
        tuple(_loss(vector) for vector, _ in every),
        np.array(outcomes, dtype=float),
        tuple(kl),
    )


def log_prob_outcome(
    model: HookedModel, prompts: Sequence[str], completions: Sequence[str]
) -> Outcome:
    """An outcome: the log-prob a token, in nats, of a completion after each prompt.

    What lies below a vector's layer is run once for all vectors of the layer, if they come one
    after the other.
    """
    last: list[Prepared] = []

    def outcome(vector: SteeringVector) -> list[float]:
        layer = vector.layers[0]
        if not last or last[0].layer != layer:
            last[:] = [Prepared.of(model, prompts, completions, layer)]
        return last[0].score(Add(vector)).log_probs.mean.tolist()

    return outcome


def _kl_of(model: HookedModel, reference: Reference | None) -> Callable[[SteeringVector], float]:
    """What adding a vector costs; what lies below its layer is run once for all of the layer."""
    last: dict[int, Reference] = {}

    def spent(vector: SteeringVector) -> float:
        if reference is None:
            return float("nan")
        layer = vector.layers[0]
        if layer not in last:
            last.clear()
            last[layer] = reference.at(model, layer)
        return cost(model, last[layer], Add(vector)).mean_kl

    return spent


def _loss(vector: SteeringVector) -> float:
    return float(vector.provenance.results.get("loss", float("nan")))
