"""How much a model is about to refuse, without generating: the log-odds of how refusals begin.

After Arditi et al. 2024 (arXiv 2406.11717): the logit of the probability of the refusal tokens at
the last position of a prompt. Which tokens these are is found from prompts that are refused and
prompts that are answered. Where single tokens tell the two apart badly (many answers begin with
"I"), whole beginnings of refusals take their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel, undisturbed
from workbench.models.text import pad, prompt_ids
from workbench.steering.generation import generate
from workbench.steering.interventions import Steering
from workbench.steering.scoring import log_prob, read_at

BATCH = 16
LEAST_DIFFERENCE = 0.01  # of the probability that a token has on refused and on answered prompts


@dataclass(frozen=True)
class RefusalMetric:
    """Log-odds, in nats, that an answer begins in one of these ways.

    `tokens` are ids; with `prefixes` (texts) these count instead. `auc` says how well the metric
    told the prompts apart on which it was found.
    """

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    prefixes: tuple[str, ...]
    auc: float
    n_refused: int
    n_answered: int

    def __call__(
        self, model: HookedModel, prompts: Sequence[str], steering: Steering = ()
    ) -> Float[np.ndarray, " prompt"]:
        """The log-odds after each prompt: above 0 the model is likelier to refuse than not."""
        if self.prefixes:
            mass = torch.stack(
                [
                    log_prob(model, prompts, [prefix] * len(prompts), steering).total.double()
                    for prefix in self.prefixes
                ]
            ).logsumexp(0)
        else:
            mass = last_log_probs(model, prompts, steering)[:, list(self.tokens)].logsumexp(-1)
        return _log_odds(mass.cpu()).numpy()


def refusal_metric(
    model: HookedModel,
    refused: Sequence[str],
    answered: Sequence[str],
    *,
    count: int = 3,
    least_auc: float = 0.95,
    prefix_tokens: int = 4,
) -> RefusalMetric:
    """Find the metric on prompts that the model refuses and on ones that it answers.

    Tokens: the `count` first ones whose mean probability differs most. Under an AUC of `least_auc`
    the most common beginnings of the refusals, of `prefix_tokens`, take their place. Needs
    scikit-learn. Raises ValueError where either set is empty, or no token is commoner in refusals.
    """
    from sklearn.metrics import roc_auc_score

    if not refused or not answered:
        raise ValueError(
            f"{len(refused)} refused and {len(answered)} answered prompts: none may be 0"
        )
    every = [last_log_probs(model, prompts) for prompts in (refused, answered)]
    difference = every[0].exp().mean(0) - every[1].exp().mean(0)
    values, ids = difference.topk(count)
    tokens = tuple(
        i for i, v in zip(ids.tolist(), values.tolist(), strict=True) if v >= LEAST_DIFFERENCE
    )
    if not tokens:
        raise ValueError(
            "no first token is commoner where the model should refuse: does it refuse at all?"
        )
    truth = np.r_[np.ones(len(refused)), np.zeros(len(answered))]

    def made(prefixes: tuple[str, ...], scores: Float[np.ndarray, " prompt"]) -> RefusalMetric:
        texts = tuple(model.tokenizer.decode([token]) for token in tokens)
        auc = float(roc_auc_score(truth, scores))
        return RefusalMetric(tokens, texts, prefixes, auc, len(refused), len(answered))

    mass = torch.cat(every)[:, list(tokens)].logsumexp(-1)
    metric = made((), _log_odds(mass).numpy())
    if metric.auc >= least_auc:
        return metric
    said = generate(model, list(refused), max_new_tokens=prefix_tokens, progress=False)
    prefixes = tuple(text for text, _ in Counter(text for text in said if text).most_common(count))
    if not prefixes:
        return metric
    longer = RefusalMetric(tokens, metric.texts, prefixes, 0.0, len(refused), len(answered))
    return made(prefixes, longer(model, [*refused, *answered]))


@torch.no_grad()
def last_log_probs(
    model: HookedModel, prompts: Sequence[str], steering: Steering = ()
) -> Float[Tensor, "prompt d_vocab"]:
    """Log-probs of the token after each prompt, in float64."""
    found = []
    with undisturbed(model):
        for start in range(0, len(prompts), BATCH):
            rows = [prompt_ids(model, prompt) for prompt in prompts[start : start + BATCH]]
            batch = pad(model, rows, side="right")
            row = torch.arange(len(rows), device=batch.tokens.device)
            read = read_at(model, batch, row, batch.lengths - 1, steering)
            found.append(read.double().log_softmax(-1).cpu())
    return torch.cat(found)


def _log_odds(mass: Float[Tensor, " prompt"]) -> Float[Tensor, " prompt"]:
    """log P / (1 - P) from log P."""
    mass = mass.double().clamp(max=-1e-12)
    return mass - torch.log(-torch.expm1(mass))
