"""Reentrant steering: a later vector that writes what an earlier intervention made the model say.

1. Train an intervention at an early layer on the examples (promotion, suppression, mixed).
2. Under it, let the model go on greedily from each prompt, and keep the whole distribution of each
   of those tokens.
3. Train a vector at a later layer to give the same distributions on the same tokens:

       Σ_k KL( p_k ‖ P(. | y_<k, x; v') ),      p_k = P(. | y_<k, x; v)

with one coldness on both sides (paper 2502.18862 v1, section 2.1.2; v2, appendix A).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workbench.methods.one_shot.example import Example, Imitation
from workbench.methods.one_shot.optimize import optimize
from workbench.methods.one_shot.result import OneShotRun
from workbench.models.hooked import HookedModel, undisturbed
from workbench.models.text import prompt_ids
from workbench.steering.generation import generate
from workbench.steering.interventions import Steering
from workbench.steering.scoring import CompletionRows, at_least_float32
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class ReentrantRun:
    """Both stages. `texts` are the continuations that the second stage was trained on.

    What is asked of a run is the second stage's: its vector, and its losses, which are divergences
    from the first stage in nats, summed over the tokens of `texts`.
    """

    first: OneShotRun
    second: OneShotRun
    texts: tuple[str, ...]

    @property
    def vector(self) -> SteeringVector:
        """The later layer's vector."""
        return self.second.vector

    @property
    def losses(self) -> tuple[float, ...]:
        """The divergence before each update of the later vector, in nats."""
        return self.second.losses

    @property
    def loss(self) -> float:
        """The divergence of the vector that was kept."""
        return self.second.loss

    @property
    def step(self) -> int:
        """How many updates the vector that was kept has had."""
        return self.second.step

    @property
    def last_loss(self) -> float:
        """The divergence after the last update."""
        return self.second.last_loss

    @property
    def label(self) -> str:
        """The later job's label."""
        return self.second.label


def reentrant(
    model: HookedModel,
    examples: Example | Sequence[Example],
    layer: int,
    *,
    early_layer: int = 1,
    early: Mapping[str, Any] | None = None,
    tokens: int = 10,
    progress: bool = True,
    **settings: Any,
) -> ReentrantRun:
    """Train at `early_layer`, then make a vector of `layer` that imitates it for some `tokens`.

    `early` holds the first stage's settings, `settings` the second's (those of `OneShotJob`); they
    share their coldness. Raises ValueError where the later layer is not behind the early one.
    """
    if layer <= early_layer:
        raise ValueError(f"layer {layer} is not behind early_layer {early_layer}")
    coldness = settings.get("coldness", 0.7)
    own = {"coldness": coldness, "seed": settings.get("seed", 0), "progress": progress}
    stage_one = {**own, **(early or {})}
    if stage_one["coldness"] != coldness:
        raise ValueError("both stages need one coldness: the second compares their distributions")
    first = optimize(model, examples, early_layer, **stage_one)
    prompts = [example.prompt for example in first.job.examples]
    imitations = imitate(model, prompts, list(first.interventions), tokens, coldness)
    second = optimize(
        model,
        [Example(p, imitate=[each]) for p, each in zip(prompts, imitations, strict=True)],
        layer,
        progress=progress,
        **settings,
    )
    return ReentrantRun(first, second, tuple(each.text for each in imitations))


@torch.no_grad()
def imitate(
    model: HookedModel,
    prompts: Sequence[str],
    steering: Steering = (),
    tokens: int = 10,
    coldness: int | float = 0.7,
) -> list[Imitation]:
    """What the model says after each prompt under `steering`, greedily, with the distributions.

    Log-probabilities of `softmax(coldness · logits)`, in float32.
    """
    made = generate(
        model, list(prompts), steering, max_new_tokens=tokens, progress=False, details=True
    )
    rows = CompletionRows.of_ids(
        model,
        [
            (prompt_ids(model, p), each.tokens.tolist())
            for p, each in zip(prompts, made, strict=True)
        ],
    )
    with undisturbed(model):
        read = at_least_float32(rows.read_logits(model, steering))
    log_probs = (coldness * read).log_softmax(-1).cpu()
    counts = [len(each.tokens) for each in made]
    return [
        Imitation(each.tokens, own, each.text)
        for each, own in zip(made, log_probs.split(counts), strict=True)
    ]
