"""The same vector at every layer, with several seeds, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.optimize import optimize_batch
from workbench.methods.one_shot.result import OneShotRun
from workbench.models.hooked import HookedModel, n_layers


@dataclass(frozen=True, eq=False)
class LayerRuns:
    """The runs of a sweep, by layer and then by seed."""

    runs: tuple[OneShotRun, ...]

    def at(self, layer: int) -> list[OneShotRun]:
        """The runs of one layer."""
        return [run for run in self.runs if run.job.layers == (layer,)]

    def to_frame(self) -> pd.DataFrame:
        """One row a run: layer, seed, loss in nats, norm, step, updates, evaluations, stopped."""
        return pd.DataFrame(
            {
                "layer": run.job.layers[0],
                "seed": run.job.seed,
                "loss": run.loss,
                "norm": run.vectors[0].norm if run.vectors else None,
                "step": run.step,
                "updates": len(run.losses),
                "evaluations": run.evaluations,
                "stopped": run.stopped,
            }
            for run in self.runs
        )


def sweep_layers(
    model: HookedModel,
    examples: Example | Sequence[Example],
    layers: Sequence[int] | None = None,
    seeds: Sequence[int] = (0,),
    *,
    progress: bool = True,
    token_budget: int | None = None,
    **settings: Any,
) -> LayerRuns:
    """One vector for each layer and seed, all layers by default. `settings`: see `OneShotJob`.

    The model is run once for all of them: each layer's vectors start from the stream recorded
    there, and are trained together.
    """
    given = [examples] if isinstance(examples, Example) else list(examples)
    chosen = range(n_layers(model)) if layers is None else layers
    jobs = [
        OneShotJob(given, layer, seed=seed, label=f"layer {layer}, seed {seed}", **settings)
        for layer in chosen
        for seed in seeds
    ]
    runs = optimize_batch(model, jobs, progress=progress, token_budget=token_budget)
    return LayerRuns(tuple(runs))
