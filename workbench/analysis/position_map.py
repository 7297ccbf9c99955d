"""Where a vector acts: its effect at one layer and one position at a time.

`alone`: the vector is added at a single token. `without`: it is added everywhere but there. Either
way the effect is the change of the log-prob of a completion, in nats; a token may be one of the
prompt, of the template, or of the completion itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from tqdm.auto import tqdm

from workbench.analysis.vector_lens import visible_token
from workbench.models.hooked import HookedModel, check_layer
from workbench.models.text import completion_ids
from workbench.steering.interventions import Add
from workbench.steering.positions import Positions
from workbench.steering.scoring import log_prob
from workbench.steering.vector import SteeringVector

BATCH = 16


@dataclass(frozen=True, eq=False)
class PositionMap:
    """Changes of a completion's log-prob, in nats, by layer and position.

    `alone` is against the unsteered model; `without` against the vector at every position of that
    layer (`everywhere`, itself against the unsteered model). `completion_from` is the first
    position of the completion; what is added at the last one changes nothing.
    """

    tokens: tuple[str, ...]
    completion_from: int
    layers: tuple[int, ...]
    alone: Float[np.ndarray, "layer pos"]
    without: Float[np.ndarray, "layer pos"]
    everywhere: Float[np.ndarray, " layer"]
    unsteered: float

    def to_frame(self) -> pd.DataFrame:
        """One row a layer and position: layer, position, token, part, alone, without."""
        return pd.DataFrame(
            {
                "layer": layer,
                "position": position,
                "token": token,
                "part": "prompt" if position < self.completion_from else "completion",
                "alone": self.alone[i, position],
                "without": self.without[i, position],
            }
            for i, layer in enumerate(self.layers)
            for position, token in enumerate(self.tokens)
        )


def position_map(
    model: HookedModel,
    vector: SteeringVector,
    prompt: str,
    completion: str,
    *,
    layers: Sequence[int] | None = None,
    progress: bool = False,
) -> PositionMap:
    """The map of one vector, at its own layer, or at each of `layers` with the same values.

    Raises ValueError where the completion merges with the prompt, IndexError for a layer that the
    model lacks.
    """
    head, tail = completion_ids(model, prompt, completion)
    count = len(head) + len(tail)
    wanted = [check_layer(model, layer) for layer in (vector.layers if layers is None else layers)]
    plain = float(log_prob(model, prompt, completion).total)
    alone, without, everywhere = [], [], []
    for layer in tqdm(wanted, desc="positions", disable=not progress):
        moved = SteeringVector(vector.values, layer, vector.provenance, vector.label)
        whole = float(log_prob(model, prompt, completion, Add(moved)).total)
        everywhere.append(whole - plain)
        one = torch.eye(count, dtype=torch.bool)
        alone.append(_scores(model, moved, prompt, completion, one) - plain)
        without.append(_scores(model, moved, prompt, completion, ~one) - whole)
    ids = [*head, *tail]
    return PositionMap(
        tuple(visible_token(model.tokenizer, i) for i in ids),
        len(head),
        tuple(wanted),
        np.stack(alone),
        np.stack(without),
        np.array(everywhere),
        plain,
    )


def _scores(
    model: HookedModel, vector: SteeringVector, prompt: str, completion: str, mask: torch.Tensor
) -> Float[np.ndarray, " pos"]:
    """The completion's log-prob with the vector at the positions of each row of the mask."""
    n = len(mask)
    steering = Add(vector, positions=Positions.mask(mask))
    found = log_prob(model, [prompt] * n, [completion] * n, steering, batch_size=BATCH)
    return found.total.double().cpu().numpy()
