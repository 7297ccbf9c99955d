"""Effect geometry: do vectors that point elsewhere do the same further up?

Two one-shot vectors may be nearly orthogonal and have the same effect (paper, section 7). What they
do is compared here: the change that each makes at the last token of the same prompts, at the input
of every later layer, at the last layer's output, and in the logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.hooked import HookedModel, logits, n_layers, resid_pre, undisturbed
from workbench.models.text import check_context, pad, prompt_ids
from workbench.models.unembedding import Head
from workbench.steering.captured import captured
from workbench.steering.hooks import steer
from workbench.steering.interventions import Add
from workbench.steering.vector import SteeringVector

BATCH = 16


@dataclass(frozen=True, eq=False)
class EffectGeometry:
    """Cosines between the changes that two vectors make, by place, pair and prompt.

    `places` are the layers whose input is read, then "out" (the last layer's output) and "logits"
    (centred: a constant on all of them changes nothing).
    """

    labels: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    places: tuple[str, ...]
    cosines: Float[np.ndarray, "place pair prompt"]

    def to_frame(self) -> pd.DataFrame:
        """One row a place and pair: place, a, b, mean over prompts, sd, n."""
        return pd.DataFrame(
            {
                "place": place,
                "a": self.labels[a],
                "b": self.labels[b],
                "cosine": float(values.mean()),
                "sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
                "n": len(values),
            }
            for place, by_pair in zip(self.places, self.cosines, strict=True)
            for (a, b), values in zip(self.pairs, by_pair, strict=True)
        )

    def convergence(self) -> pd.DataFrame:
        """One row a place: place, mean cosine over pairs and prompts, low, high (95% of pairs)."""
        by_pair = self.cosines.mean(axis=2)
        low, high = np.quantile(by_pair, [0.025, 0.975], axis=1)
        return pd.DataFrame(
            {"place": self.places, "cosine": by_pair.mean(axis=1), "low": low, "high": high}
        )


@torch.no_grad()
def effect_geometry(
    model: HookedModel,
    vectors: Iterable[SteeringVector],
    prompts: Sequence[str],
    *,
    scale: int | float = 1.0,
    progress: bool = False,
) -> EffectGeometry:
    """Add each vector, and compare what it changes with what the others do, prompt by prompt.

    The first place is the layer of the vectors itself, the highest where they differ. Raises
    ValueError for fewer than two vectors, and where there are no prompts.
    """
    given = list(vectors)
    if len(given) < 2 or not prompts:
        raise ValueError(f"{len(given)} vectors and {len(prompts)} prompts: nothing to compare")
    first = max(max(vector.layers) for vector in given)
    pairs = tuple(combinations(range(len(given)), 2))
    rows = [prompt_ids(model, prompt) for prompt in prompts]
    for i, row in enumerate(rows):
        check_context(model, len(row), f"prompt {i}")
    found = []
    with undisturbed(model):
        starts = tqdm(range(0, len(rows), BATCH), desc="effects", disable=not progress)
        for start in starts:
            batch = rows[start : start + BATCH]
            clean = _read(model, batch, first, [])
            changes = [
                [
                    now - then
                    for now, then in zip(
                        _read(model, batch, first, [Add(vector, scale)]), clean, strict=True
                    )
                ]
                for vector in given
            ]
            found.append(
                np.stack(
                    [
                        [
                            torch.cosine_similarity(changes[a][i], changes[b][i], dim=-1).numpy()
                            for a, b in pairs
                        ]
                        for i in range(len(clean))
                    ]
                )
            )
    labels = [vector.label or f"vector {i}" for i, vector in enumerate(given, 1)]
    places = (*map(str, range(first, n_layers(model))), "out", "logits")
    return EffectGeometry(tuple(labels), pairs, places, np.concatenate(found, axis=2))


def _read(
    model: HookedModel, rows: Sequence[list[int]], first: int, steering: Sequence[Add]
) -> list[Float[Tensor, "row width"]]:
    """The stream at the last token of each row, from the first layer asked for on; the logits."""
    batch = pad(model, rows, side="right")
    hooks = [resid_pre(layer) for layer in range(first, n_layers(model))]
    hooks.append(f"blocks.{n_layers(model) - 1}.hook_resid_post")
    with (
        steer(model, *steering),
        captured(model, hooks, batch.lengths - 1) as found,
    ):
        logits(model, batch.tokens, batch.attention_mask)
    streams = [found[hook] for hook in hooks]
    said = Head.of(model)(streams[-1])
    said = said - said.mean(dim=-1, keepdim=True)
    return [each.double().cpu() for each in (*streams, said)]
