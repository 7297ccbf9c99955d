"""What steering does to the next token: how far it moves, how sure it is, how much is the answer's.

The measures of Højer et al. 2025 (arXiv 2504.19483) for vectors that should help reasoning: the
divergence KL(unsteered ‖ steered) and the entropy of the next-token distribution, in nats, and the
probability of the answer's first token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from workbench.models.hooked import HookedModel, undisturbed
from workbench.steering.interventions import Steering, as_interventions
from workbench.steering.scoring import DEFAULT_BATCH, CompletionRows, at_least_float32


@dataclass(frozen=True)
class NextToken:
    """By prompt: `kl` and entropies in nats, and the answer's probability, unsteered and steered.

    `first` says whether the answer's token is the likeliest one under steering.
    """

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    kl: tuple[float, ...]
    entropy: tuple[float, ...]
    entropy_unsteered: tuple[float, ...]
    mass: tuple[float, ...]
    mass_unsteered: tuple[float, ...]
    first: tuple[bool, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a prompt, with the fields above as columns (prompt, answer, …)."""
        fields = dict(vars(self))
        return pd.DataFrame(
            {"prompt": fields.pop("prompts"), "answer": fields.pop("answers"), **fields}
        )


@torch.no_grad()
def next_token(
    model: HookedModel,
    prompts: Sequence[str],
    answers: Sequence[str],
    steering: Steering = (),
    *,
    batch_size: int = DEFAULT_BATCH,
) -> NextToken:
    """Read the token after each prompt. Raises ValueError for texts that do not pair up."""
    if len(prompts) != len(answers) or not prompts:
        raise ValueError(f"{len(prompts)} prompts for {len(answers)} answers")
    interventions = as_interventions(steering)
    names = ("kl", "entropy", "entropy_unsteered", "mass", "mass_unsteered", "first")
    found: dict[str, list] = {name: [] for name in names}
    with undisturbed(model):
        for start in range(0, len(prompts), batch_size):
            which = range(start, min(start + batch_size, len(prompts)))
            rows = CompletionRows.of(
                model, [prompts[i] for i in which], [answers[i] for i in which]
            )
            counts = rows.row.bincount()
            firsts = counts.cumsum(0) - counts  # of each answer, its first token
            taken = [one.taking(which) for one in interventions]
            before = at_least_float32(rows.read_logits(model)).log_softmax(-1)[firsts]
            after = at_least_float32(rows.read_logits(model, taken)).log_softmax(-1)[firsts]
            target = rows.target[firsts, None]
            values = {
                "kl": (before.exp() * (before - after)).sum(-1),
                "entropy": -(after.exp() * after).sum(-1),
                "entropy_unsteered": -(before.exp() * before).sum(-1),
                "mass": after.gather(-1, target)[:, 0].exp(),
                "mass_unsteered": before.gather(-1, target)[:, 0].exp(),
                "first": after.argmax(-1) == target[:, 0],
            }
            for name in names:
                found[name] += values[name].tolist()
    return NextToken(tuple(prompts), tuple(answers), **{name: tuple(found[name]) for name in names})
