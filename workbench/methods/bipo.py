"""BiPO: a vector by gradient descent on preferences, for both of its directions at once.

Bi-directional preference optimization (Cao et al. 2024, arXiv 2406.00045). Of a pair of answers to
a prompt, r_T is what the vector is to make likelier than r_O, and its negative the other way round:

    min_v  E_{d ∈ {-1, 1}}  -log σ( d β [ log π(r_T | d v) / π(r_T) - log π(r_O | d v) / π(r_O) ] )

with d drawn anew for each pair and step. AdamW from zero, a linear warm-up, then a cosine. The
vector is added at every position, as it is in training. Log-probs are sums over an answer, in nats,
at coldness 1. Pairs run on the engine of the one-shot methods (methods/one_shot/engine.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import get_cosine_schedule_with_warmup

from workbench.methods.one_shot import Example, OneShotJob
from workbench.methods.one_shot.engine import Engine
from workbench.methods.one_shot.request import Request, Seen
from workbench.models.hooked import HookedModel, d_model, device_of, undisturbed
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.scoring import log_prob
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True)
class Preference:
    """A prompt with the answer to prefer and the one to reject. Raises ValueError if they agree."""

    prompt: str
    preferred: str
    rejected: str

    def __post_init__(self) -> None:
        if not self.preferred or not self.rejected or self.preferred == self.rejected:
            raise ValueError(
                f"a preference needs two different answers, none of them empty, to "
                f"{self.prompt[-40:]!r}: got {self.preferred!r} and {self.rejected!r}"
            )


@dataclass(frozen=True)
class BipoSettings:
    """The paper's by default. `warmup` counts steps; `batch_size` pairs a step."""

    beta: int | float = 0.1
    learning_rate: int | float = 5e-4
    weight_decay: int | float = 0.05
    batch_size: int = 4
    epochs: int = 20
    warmup: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("beta", "learning_rate", "batch_size", "epochs"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if self.weight_decay < 0 or self.warmup < 0:
            raise ValueError(
                "weight_decay and warmup must be 0 or more, got "
                f"{self.weight_decay} and {self.warmup}"
            )


# By the paper's tasks. Its layers: 15 of Llama-2-7b-chat, 13 of Mistral-7B-Instruct-v0.2.
PRESETS = {
    "persona": BipoSettings(epochs=20),
    "hallucination": BipoSettings(epochs=20),
    "truthfulness": BipoSettings(epochs=1),
    "jailbreak": BipoSettings(epochs=10),
}


def bipo(
    model: HookedModel,
    preferences: Sequence[Preference],
    layer: int,
    settings: BipoSettings | None = None,
    *,
    positions: Positions | None = None,
    token_budget: int | None = None,
    label: str | None = None,
    progress: bool = True,
) -> SteeringVector:
    """The vector after the last step; the objective before each step is in its provenance.

    The model is left as it was found. Raises ValueError for no preferences, for one that is there
    twice, and for a warm-up that would not end.
    """
    settings = settings or BipoSettings()
    preferences = list(preferences)
    positions = positions or Positions.all()
    total = _steps(preferences, settings)
    job = OneShotJob(_examples(preferences), layer, coldness=1.0, positions=positions)
    objective = _Objective(_reference(model, preferences), settings.beta)
    objectives: list[float] = []
    with undisturbed(model), torch.inference_mode(False), torch.enable_grad():
        engine = Engine.of(model, [job], token_budget)
        rows = _rows_by_example(engine.texts[0].example)
        device = device_of(model)
        objective.reference = objective.reference.to(device)
        values = torch.zeros(1, d_model(model), device=device, requires_grad=True)
        adam = torch.optim.AdamW(
            [values], lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = get_cosine_schedule_with_warmup(adam, settings.warmup, total)
        steps = tqdm(total=total, desc="preferring", unit="step", disable=not progress)
        with steps:
            for chosen in _batches(len(preferences), settings):
                wanted = tuple(row for example in sorted(chosen) for row in rows[example])
                request = Request(values.detach().clone(), objective, wanted)
                (answer,) = engine.answer([(0, request)])
                values.grad = answer.gradient
                adam.step()
                schedule.step()
                objectives.append(answer.objective)
                steps.update()
                steps.set_postfix_str(f"objective {answer.objective:.3f} nats")
    provenance = Provenance.of(
        "bipo",
        model,
        positions=str(positions),
        seed=settings.seed,
        config={**asdict(settings), "layer": layer, "n_preferences": len(preferences)},
        examples=tuple(asdict(each) for each in preferences),
        results={"objectives": [round(each, 6) for each in objectives]},
    )
    made = values.detach()[0].float().cpu()
    return SteeringVector(made, layer, provenance, label or f"BiPO, layer {layer}")


@dataclass(eq=False)
class _Objective:
    """The mean over the pairs of a batch; an even example adds the vector, an odd one takes it off.

    `reference` holds the unsteered losses of each pair's two answers.
    """

    reference: Float[Tensor, "pair 2"]
    beta: int | float
    watched: tuple[int, ...] = ()

    def __call__(self, parts: Float[Tensor, "part d_model"], seen: Seen) -> Float[Tensor, ""]:
        chosen = torch.tensor(sorted(set(seen.texts.example)), device=seen.losses.device)
        gain = self.reference[chosen // 2] - seen.losses.view(-1, 2)
        sign = 1 - 2 * (chosen % 2).to(gain)
        return -nn.functional.logsigmoid(sign * self.beta * (gain[:, 0] - gain[:, 1])).mean()


def _examples(preferences: Sequence[Preference]) -> list[Example]:
    """Each pair twice: with the vector, and with its negative."""
    return [
        Example(each.prompt, promote=[each.preferred, each.rejected], negated=negated)
        for each in preferences
        for negated in (False, True)
    ]


def _reference(model: HookedModel, preferences: Sequence[Preference]) -> Float[Tensor, "pair 2"]:
    prompts = [each.prompt for each in preferences for _ in range(2)]
    answers = [text for each in preferences for text in (each.preferred, each.rejected)]
    return -log_prob(model, prompts, answers).total.view(-1, 2)


def _rows_by_example(example: Sequence[int]) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row, owner in enumerate(example):
        rows.setdefault(owner, []).append(row)
    return rows


def _batches(pairs: int, settings: BipoSettings) -> Iterator[list[int]]:
    """The examples of each step: some pairs, each with a drawn direction."""
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.epochs):
        order = torch.randperm(pairs, generator=generator)
        turned = torch.randint(2, (pairs,), generator=generator)
        for chosen in (2 * order + turned).split(settings.batch_size):
            yield chosen.tolist()


def _steps(preferences: Sequence[Preference], settings: BipoSettings) -> int:
    """How many steps there will be, if everything fits."""
    if not preferences:
        raise ValueError("there are no preferences to learn from")
    if len(set(preferences)) < len(preferences):
        repeated = next(each for each in preferences if preferences.count(each) > 1)
        raise ValueError(f"the preference {repeated} is there more than once")
    total = settings.epochs * math.ceil(len(preferences) / settings.batch_size)
    if settings.warmup >= total:
        raise ValueError(
            f"a warm-up of {settings.warmup} steps would not end in {total} steps: "
            "take more epochs or a shorter warm-up"
        )
    return total
