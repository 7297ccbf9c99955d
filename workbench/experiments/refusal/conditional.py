"""Refusal given to a model that lacks it, only where a gate says that it is needed.

InferAligner (Wang et al. 2024, arXiv 2401.11206) and CAST (Lee et al. 2024, arXiv 2409.05907). A
program: the parent is the target, the model that refuses its aligned sibling. The gate is learnt
from the target's own stream on training requests, and its kind and layer chosen on validation; what
stands behind it is the sibling's vectors, added, or its affine edit, chosen ungated on harmful
validation requests. Harmless answers behind a shut gate are the unsteered ones, token for token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import pandas as pd

from workbench.evaluation import Proportion, proportion
from workbench.experiments.refusal.affine import along_random, as_it_is
from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.judging import Asked, listed, prompts_of, rates_of, texts_of
from workbench.experiments.refusal.settings import ConditionalSettings
from workbench.methods import ConceptEdit, Gate, concept_edits, gates
from workbench.methods.gates import GateKind, balanced
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.steering import Add, Affine, When
from workbench.steering.activations import activations
from workbench.steering.interventions import Intervention


@dataclass(frozen=True)
class ConditionalResult:
    """Answers by way and request as `Asked.judged` gives them, and what was chosen from what.

    Ways: "unsteered", "ungated", "gated", "gated, random 1" and so on, "aligned sibling".
    `gates`: kind, layer, accuracy (balanced) on training, validation and test, harmful and harmless
    (the shares of test requests for which it opens), chosen. `tried`: intervention, layers,
    strength, refused (share of harmful validation requests refused coherently), n, chosen.
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

    Raises ValueError where a gate may stand above what it guards.
    """
    highest, lowest = max(settings.gate_layers), min(map(min, settings.layers))
    if highest > lowest:
        raise ValueError(
            f"a gate at layer {highest} cannot guard an edit of layer {lowest}: gate_layers must "
            "not lie above any of layers"
        )
    target, aligned = requests.parent, requests.model
    train = prompts_of(requests, requests.train, settings.train_requests)
    asked = Asked.on_test(requests, settings.test_requests, settings.answer_tokens, progress)

    @cache
    def learnt(kind: GateKind) -> list[Gate]:
        return gates(target, *train, settings.gate_layers, kind, seed=settings.seed)

    @cache
    def edits() -> dict[int, ConceptEdit]:
        every = sorted({layer for some in settings.layers for layer in some})
        made = concept_edits(aligned, *train, every, progress=progress)
        return {
            each.direction.layers[0]: ConceptEdit(each.direction.rebind(target), each.reference)
            for each in made
        }

    known = folder.table("gates", lambda: _gates(requests, settings, learnt, asked))
    tried = folder.table("tried", lambda: _tried(requests, settings, edits(), progress))
    best = known[known["chosen"].astype(bool)].iloc[0]
    chosen = tried[tried["chosen"].astype(bool)].iloc[0]
    layers = next(each for each in settings.layers if listed(each) == chosen["layers"])

    def steering(turned: Callable[[ConceptEdit], ConceptEdit]) -> list[Intervention]:
        some = [turned(edits()[layer]) for layer in layers]
        return _interventions(some, chosen["intervention"], float(chosen["strength"]))

    def gated(turned: Callable[[ConceptEdit], ConceptEdit]) -> list[Intervention]:
        at = list(settings.gate_layers).index(int(best["layer"]))
        return [When(learnt(best["kind"])[at].condition, steering(turned))]

    def answers(
        way: str, acting: Callable[[], list[Intervention]], model: HookedModel = target
    ) -> pd.DataFrame:
        return folder.table(way, lambda: asked.judged(model, acting(), way))

    found = [
        answers("unsteered", list),
        answers("ungated", lambda: steering(as_it_is)),
        answers("gated", lambda: gated(as_it_is)),
    ]
    for number in range(settings.random):
        turned = partial(along_random, seed=settings.seed + number)
        found.append(answers(f"gated, random {number + 1}", partial(gated, turned)))
    found.append(answers("aligned sibling", list, aligned))
    return ConditionalResult(settings, known, tried, pd.concat(found, ignore_index=True))


def _gates(
    requests: Requests,
    settings: ConditionalSettings,
    learnt: Callable[[GateKind], list[Gate]],
    asked: Asked,
) -> pd.DataFrame:
    """Every gate, on the requests it was learnt from, on validation, and on test."""
    texts = prompts_of(requests, requests.validation, settings.validation_requests)
    sets = {"validation": (texts[0] + texts[1], len(texts[0]))}
    sets["test"] = (asked.prompts, len(asked.harmful))
    read = {
        part: activations(requests.parent, prompts, layers=settings.gate_layers)
        for part, (prompts, _) in sets.items()
    }
    rows = []
    for kind in settings.gate_kinds:
        for i, gate in enumerate(learnt(kind)):
            row = {"kind": kind, "layer": gate.layer, "training": gate.accuracy}
            for part, (_, harmful) in sets.items():
                opens = gate.condition.holds(read[part][:, i]).double().numpy()
                row[part] = balanced(opens[:harmful], opens[harmful:], 0.5)
            row["harmful"] = float(opens[:harmful].mean())
            row["harmless"] = float(opens[harmful:].mean())
            rows.append(row)
    found = pd.DataFrame(rows)
    # Of equal ones the earliest layer: what is edited must stand behind it.
    order = found.sort_values(["validation", "training", "layer"], ascending=[False, False, True])
    return found.assign(chosen=found.index == order.index[0])


def _tried(
    requests: Requests,
    settings: ConditionalSettings,
    edits: Mapping[int, ConceptEdit],
    progress: bool,
) -> pd.DataFrame:
    """Each set of layers, way and strength, ungated on harmful validation requests."""
    texts = texts_of(requests.validation, settings.validation_requests)
    asked = Asked(requests, texts[0], (), settings.trial_tokens, progress)
    rows = []
    for layers in settings.layers:
        some = [edits[layer] for layer in layers]
        for name, strengths in (("add", settings.scales), ("affine", settings.strengths)):
            for strength in strengths:
                steering = _interventions(some, name, strength)
                found = asked.judged(requests.parent, steering, "tried")
                refused = float((found["refuses"] & found["coherent"]).mean())
                where = {"intervention": name, "layers": listed(layers), "strength": strength}
                rows.append({**where, "refused": refused, "n": len(found)})
    table = pd.DataFrame(rows)
    return table.assign(chosen=table.index == table["refused"].idxmax())


def _interventions(
    edits: Sequence[ConceptEdit], name: str, strength: int | float
) -> list[Intervention]:
    if name == "add":
        return [Add(each.direction, strength) for each in edits]
    return [Affine(each.at(strength)) for each in edits]
