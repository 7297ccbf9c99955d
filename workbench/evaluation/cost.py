"""What steering costs on harmless text: how far it moves the model, and how much worse it predicts.

KL is KL(unsteered ‖ steered) in nats a token at coldness 1, over the tokens of each completion:
the distributions that predict them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.hooked import HookedModel, undisturbed
from workbench.steering.interventions import Add, Steering, as_interventions, rows_of
from workbench.steering.prepared import PreparedRows, lowest_layer
from workbench.steering.scoring import CompletionRows, at_least_float32
from workbench.steering.vector import SteeringVector

BATCH = 8


@dataclass(frozen=True)
class Reference:
    """Texts and the unsteered predictions of their tokens, made once for many vectors.

    Every token keeps a log-probability for each of the vocabulary, in float32: a thousand tokens
    of 50,000 words are 200 MB.
    """

    completions: tuple[str, ...]
    batches: tuple[tuple[CompletionRows, Float[Tensor, "_ d_vocab"]], ...]
    prepared: tuple[PreparedRows, ...] = ()

    @classmethod
    @torch.no_grad()
    def of(
        cls, model: HookedModel, prompts: Sequence[str], completions: Sequence[str]
    ) -> Reference:
        """Predict each completion after its prompt; where the two would merge, by its own tokens.

        Raises ValueError for texts that don't pair up.
        """
        if len(prompts) != len(completions) or not prompts:
            raise ValueError(f"{len(prompts)} prompts for {len(completions)} completions")
        batches = []
        with undisturbed(model):
            for start in range(0, len(prompts), BATCH):
                some = slice(start, start + BATCH)
                rows = CompletionRows.of(model, prompts[some], completions[some], generated=True)
                batches.append((rows, _log_softmax(rows.read_logits(model))))
        return cls(tuple(completions), tuple(batches))

    @torch.no_grad()
    def at(self, model: HookedModel, layer: int | None) -> Reference:
        """The same with its texts run up to a layer, for many interventions that act from it on.

        Valid as long as the model's weights stay as they are. None: the reference itself.
        """
        if layer is None:
            return self
        prepared = []
        with undisturbed(model):
            for rows, _ in self.batches:
                which = range(len(rows.prompt_lengths))
                groups = [(i,) for i in which]
                prepared.append(PreparedRows.of(model, which, groups, rows, layer))
        return replace(self, prepared=tuple(prepared))

    def _predicted(
        self, model: HookedModel, steering: Steering
    ) -> Iterator[Float[Tensor, "_ d_vocab"]]:
        """Log-probabilities under `steering`, batch by batch."""
        if self.prepared:
            if rows_of(as_interventions(steering)) is not None:
                raise ValueError(
                    "interventions that go row by row need a reference without a layer"
                )
            if any(each.recording.model is not model for each in self.prepared):
                raise ValueError("the reference was run up to its layer by another model")
            edits = [edit for one in as_interventions(steering) for edit in one.edits(model)]
            for each in self.prepared:
                yield _log_softmax(each.read(model, edits))
        else:
            for rows, _ in self.batches:
                yield _log_softmax(rows.read_logits(model, steering))


@dataclass(frozen=True)
class Cost:
    """By completion, means over its tokens in nats: KL, and the cross-entropy before and after."""

    completions: tuple[str, ...]
    n_tokens: tuple[int, ...]
    kl: tuple[float, ...]
    unsteered: tuple[float, ...]
    steered: tuple[float, ...]

    @property
    def mean_kl(self) -> float:
        """Over all tokens, in nats a token."""
        return float(np.average(self.kl, weights=self.n_tokens))

    @property
    def cross_entropy_change(self) -> float:
        """Steered minus unsteered, over all tokens, in nats a token."""
        change = np.subtract(self.steered, self.unsteered)
        return float(np.average(change, weights=self.n_tokens))

    def to_frame(self) -> pd.DataFrame:
        """One row a completion: completion, n_tokens, kl, unsteered, steered (cross-entropies)."""
        return pd.DataFrame(
            {
                "completion": self.completions,
                "n_tokens": self.n_tokens,
                "kl": self.kl,
                "unsteered": self.unsteered,
                "steered": self.steered,
            }
        )


@torch.no_grad()
def cost(
    model: HookedModel, reference: Reference, steering: Steering, *, progress: bool = False
) -> Cost:
    """What `steering` does to the predictions of the reference's tokens.

    Raises ValueError for interventions that a reference `at` a layer is not prepared for.
    """
    found: dict[str, list[float]] = {"kl": [], "unsteered": [], "steered": []}
    counts: list[int] = []
    with undisturbed(model):
        predicted = reference._predicted(model, steering)
        batches = tqdm(reference.batches, desc="cost", disable=not progress)
        for (rows, before), now in zip(batches, predicted, strict=True):
            tokens = rows.row.bincount().tolist()
            kl = (before.exp() * (before - now)).sum(-1)
            said = [each.gather(-1, rows.target[:, None])[:, 0] for each in (before, now)]
            for name, values in zip(found, (kl, -said[0], -said[1]), strict=True):
                found[name] += [float(each.mean()) for each in values.split(tokens)]
            counts += tokens
    return Cost(reference.completions, tuple(counts), *(tuple(found[name]) for name in found))


@dataclass(frozen=True)
class Calibrated:
    """The scale at which a vector costs `kl` nats a token."""

    scale: float
    kl: float


def calibrate(
    model: HookedModel,
    vector: SteeringVector,
    target_kl: int | float,
    reference: Reference,
    make: Callable[[SteeringVector, float], Steering] = Add,
    *,
    largest: int | float = 1024.0,
    tolerance: int | float = 0.01,
) -> Calibrated:
    """The scale at which `make(vector, scale)` costs `target_kl`, to a relative `tolerance`.

    So methods are compared at equal cost. The smallest bracket is searched from small scales up,
    so that of several scales with this cost the least is found. Raises ValueError for a target
    that is not positive, and one below or above what every scale up to `largest` costs.
    """
    if not target_kl > 0:
        raise ValueError(f"target_kl is a positive number of nats a token, not {target_kl}")
    seen: dict[float, float] = {}
    below = reference.at(model, lowest_layer(model, make(vector, 1.0)))

    def excess(scale: float) -> float:
        if scale not in seen:
            seen[scale] = cost(model, below, make(vector, scale)).mean_kl
        return seen[scale] - float(target_kl)

    high = 2.0**-6
    while excess(high) < 0:
        high *= 2
        if high > largest:
            raise ValueError(
                f"no scale up to {largest:g} costs {target_kl:g} nats a token: at "
                f"{high / 2:g} it is {seen[high / 2]:g}"
            )
    low = high / 2 if high > 2.0**-6 else 0.0
    if excess(low) >= 0:
        raise ValueError(
            f"no scale costs as little as {target_kl:g} nats a token: at 0 it is {seen[low]:g}"
        )
    # KL grows about as the square of the scale: its root is nearly linear, and quickly found.
    scale = float(
        brentq(
            lambda at: np.sqrt(max(excess(at) + target_kl, 0.0)) - np.sqrt(target_kl),
            low,
            high,
            rtol=float(tolerance) / 4,
        )
    )
    return Calibrated(scale, excess(scale) + float(target_kl))


def _log_softmax(read: Float[Tensor, "token d_vocab"]) -> Float[Tensor, "token d_vocab"]:
    return at_least_float32(read).log_softmax(-1)
