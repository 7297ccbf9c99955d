"""Refusal given to a model that lacks it, only where a gate says that it is needed.

InferAligner (Wang et al. 2024, arXiv 2401.11206) and CAST (Lee et al. 2024, arXiv 2409.05907). A
program: the parent is the target, the model that refuses its aligned sibling. The gate is learnt
from the target's own stream on training requests; its threshold, kind and layer are chosen on
validation. What stands behind it (behind.py) is chosen ungated, on harmful validation requests.
Harmless answers behind a shut gate are the unsteered ones, token for token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import pandas as pd

from workbench.evaluation import Proportion, proportion
from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.behind import (
    Behind,
    Turn,
    candidates,
    lowest_layers,
    promotions,
)
from workbench.experiments.refusal.judging import Asked, prompts_of, rates_of, texts_of
from workbench.experiments.refusal.settings import ConditionalSettings
from workbench.methods import Gate, gates, random_vector
from workbench.methods.gates import balanced
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.steering import SteeringVector, When, log_prob
from workbench.steering.activations import activations
from workbench.steering.interventions import Intervention


@dataclass(frozen=True)
class ConditionalResult:
    """Answers by way and request as `Asked.judged` gives them, and what was chosen from what.

    Ways: "unsteered", "ungated", "gated", "gated, random 1" and so on, "aligned sibling".
    `gates`: kind, layer, threshold, training (balanced accuracy, at the threshold learnt there),
    validation and test (at `threshold`), harmful and harmless (the shares of test requests for
    which it opens), chosen. `tried`: intervention, layers, strength, refused (share of harmful
    validation requests refused coherently), log_prob (the mean of the setting's refusal there, nats
    a token), n, chosen.
    """

    settings: ConditionalSettings
    gates: pd.DataFrame
    tried: pd.DataFrame
    answers: pd.DataFrame

    def rates(self) -> pd.DataFrame:
        """One row a way and kind of request: way, harmful, n, refuses, low, high, coherent."""
        return rates_of(self.answers)

    def identical(self, way: str = "gated") -> Proportion:
        """The share of harmless answers that are the unsteered ones, token for token."""
        harmless = self.answers[~self.answers["harmful"].astype(bool)]
        said = {name: list(rows["tokens"]) for name, rows in harmless.groupby("way") if len(rows)}
        same = [list(a) == list(b) for a, b in zip(said[way], said["unsteered"], strict=True)]
        return proportion(sum(same), len(same))


def run_conditional(
    requests: Requests, settings: ConditionalSettings, folder: RunFolder, progress: bool = True
) -> ConditionalResult:
    """Learn and choose the gate, choose what it guards, measure; every step is kept.

    Raises ValueError where nothing may stand behind a gate of the last of `gate_layers`.
    """
    highest, places = max(settings.gate_layers), lowest_layers(settings)
    if highest > max(places, default=-1):
        raise ValueError(
            f"nothing that is tried (from layers {places}) stands at or behind a gate at layer "
            f"{highest}: gate_layers must not lie above all of layers and promoting_layers"
        )
    asked = Asked.on_test(requests, settings.test_requests, settings.answer_tokens, progress)

    @cache
    def learnt() -> list[Gate]:
        return gates(
            requests.parent,
            *prompts_of(requests, requests.train, settings.gate_requests),
            settings.gate_layers,
            settings.gate_kinds,
            regularization=settings.regularization,
            seed=settings.seed,
            progress=progress,
        )

    known = folder.table("gates", lambda: _gates(requests, settings, learnt(), asked))
    best = int(known["chosen"].argmax())
    layer = int(known["layer"][best])
    promoting: Iterable[SteeringVector] = ()
    if settings.promoting_layers and settings.promoting_norms and settings.promoting_requests:
        promoting = folder.vectors("promotion", lambda: promotions(requests, settings, progress))

    @cache
    def tries() -> list[Behind]:
        every = candidates(requests, settings, promoting, progress)
        return [each for each in every if each.lowest >= layer]

    tried = folder.table("tried", lambda: _tried(requests, settings, tries(), progress))
    chosen = tried[tried["chosen"].astype(bool)].iloc[0]

    def steering(turned: Turn) -> list[Intervention]:
        (one,) = (each for each in tries() if all(chosen[k] == v for k, v in each.row().items()))
        return one.acting(turned)

    def gated(turned: Turn) -> list[Intervention]:
        threshold = float(known["threshold"][best])
        return [When(replace(learnt()[best].condition, threshold=threshold), steering(turned))]

    def answers(
        way: str, acting: Callable[[], list[Intervention]], model: HookedModel = requests.parent
    ) -> pd.DataFrame:
        return folder.table(way, lambda: asked.judged(model, acting(), way))

    found = [
        answers("unsteered", list),
        answers("ungated", lambda: steering(_as_it_is)),
        answers("gated", lambda: gated(_as_it_is)),
    ]
    for number in range(settings.random):
        turned = partial(random_vector, seed=settings.seed + number)
        found.append(answers(f"gated, random {number + 1}", partial(gated, turned)))
    found.append(answers("aligned sibling", list, requests.model))
    return ConditionalResult(settings, known, tried, pd.concat(found, ignore_index=True))


def _gates(
    requests: Requests, settings: ConditionalSettings, learnt: Sequence[Gate], asked: Asked
) -> pd.DataFrame:
    """Every gate, on the requests it was learnt from, on validation, and on test."""
    texts = prompts_of(requests, requests.validation, len(requests.validation))
    sets = {"validation": (texts[0] + texts[1], len(texts[0]))}
    sets["test"] = (asked.prompts, len(asked.harmful))
    read = {
        part: activations(requests.parent, prompts, layers=settings.gate_layers)
        for part, (prompts, _) in sets.items()
    }
    rows = []
    for gate in learnt:
        i = list(settings.gate_layers).index(gate.layer)
        harmless = read["validation"][sets["validation"][1] :, i]
        condition = gate.shut_for(harmless, settings.shut_for)
        row: dict[str, object] = {"kind": gate.kind, "layer": gate.layer}
        row |= {"threshold": condition.threshold, "training": gate.accuracy}
        for part, (_, harmful) in sets.items():
            opens = condition.holds(read[part][:, i]).double().numpy()
            row[part] = balanced(opens[:harmful], opens[harmful:], 0.5)
            if part == "test":
                row |= {"harmful": opens[:harmful].mean(), "harmless": opens[harmful:].mean()}
        rows.append(row)
    found = pd.DataFrame(rows)
    # Of equal ones the earliest layer: what is edited must stand behind it.
    order = found.sort_values(["validation", "training", "layer"], ascending=[False, False, True])
    return found.assign(chosen=found.index == order.index[0])


def _tried(
    requests: Requests,
    settings: ConditionalSettings,
    tries: Sequence[Behind],
    progress: bool,
) -> pd.DataFrame:
    """Each candidate, ungated on harmful validation requests.

    Of those under which most are refused, that under which `settings.refusal` is likeliest.
    """
    texts = texts_of(requests.validation, settings.validation_requests)
    asked = Asked(requests, texts[0], (), settings.trial_tokens, progress)
    refusals = [settings.refusal] * len(texts[0])
    rows = []
    for each in tries:
        steering = each.acting(_as_it_is)
        found = asked.judged(requests.parent, steering, "tried")
        refused = float((found["refuses"] & found["coherent"]).mean())
        likely = float(log_prob(requests.parent, asked.prompts, refusals, steering).mean.mean())
        rows.append({**each.row(), "refused": refused, "log_prob": likely, "n": len(found)})
    table = pd.DataFrame(rows)
    order = table.sort_values(["refused", "log_prob"], ascending=False)
    return table.assign(chosen=table.index == order.index[0])


def _as_it_is(vector: SteeringVector) -> SteeringVector:
    return vector
