"""The gallery's figures of experiments, each from a run as small as shows the figure."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from workbench.analysis import RefusalOutcomes, activation_structure, compare_refusal
from workbench.experiments.compare import (
    METHODS,
    CompareSettings,
    SlopeSettings,
    caa_task,
    compare,
    prompts_task,
    slopes,
)
from workbench.experiments.demo import DemoSettings
from workbench.experiments.emergent.spread import read_questions
from workbench.experiments.full.predictors import rank_correlations
from workbench.experiments.poser import PoserSettings, Scenarios
from workbench.experiments.poser.asking import Asking as AskingDecisions
from workbench.experiments.poser.asking import vectors_at
from workbench.experiments.poser.page import GROUPS
from workbench.experiments.poser.program import rates
from workbench.experiments.refusal import RefusalSettings, Requests
from workbench.experiments.refusal.asking import Asking as AskingRequests
from workbench.experiments.refusal.program import one_shot_vectors
from workbench.experiments.settings import read_scale
from workbench.figures import (
    Report,
    draw_comparison,
    draw_correlations,
    draw_flips,
    draw_plane,
    draw_refusal_comparison,
    draw_separation,
    draw_slopes,
)
from workbench.methods import mean_difference, random_vectors
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector
from workbench.testbeds import load_testbed, refusal

TRIED = ("one gradient step", "difference of means", "reading vector (PCA)")


@dataclass(frozen=True)
class SmallRuns:
    """What experiments are run on, with their settings, of which sizes are cut down.

    `decisions` scenarios are asked, `requests_asked` requests of each kind; `direction_layer` is
    the refusal direction's.
    """

    scenarios: Scenarios
    poser: PoserSettings
    requests: Requests
    refusal: RefusalSettings
    decisions: int = 8
    requests_asked: int = 4
    direction_layer: int = 18  # which the full comparison selects

    @classmethod
    def of_testbeds(cls, dtype: str = "float32") -> SmallRuns:
        """The embedded settings on the shipped testbeds."""
        return cls(
            Scenarios.of_testbed(load_testbed("alignment-faking", dtype)),
            read_scale("poser", "embedded").of(PoserSettings, steps=15),
            Requests.of_testbed(load_testbed("refusal", dtype)),
            read_scale("refusal", "embedded").of(RefusalSettings, answer_tokens=16),
        )


def add_predictors(report: Report, sweep: pd.DataFrame) -> None:
    """How vectors' losses, norms and costs go with what they do; `sweep` as `LayerSweep`'s."""
    names = ["loss", "norm", "kl", "layer"]
    found = rank_correlations(sweep, "outcome", names, "layer", resamples=500)
    report.figure(
        draw_correlations(found),
        "Over the vectors of all layers: what goes with the log-prob of the promoted answer.",
    )


def add_activations(report: Report, model: HookedModel, vector: SteeringVector, sets: int) -> None:
    """Where requests lie in the stream."""
    harmful, harmless = _requests(model, sets)
    groups = {"harmful requests": harmful, "harmless requests": harmless}
    structure = activation_structure(model, groups)
    report.section("Activations")
    report.figure(
        draw_plane(structure.plane(vector.layers[0]), [vector]),
        "At the last token of each request.",
    )
    report.figure(
        draw_separation(structure),
        "A difference of means, learned on some requests, asked on others.",
    )


def add_methods(
    report: Report, model: HookedModel, settings: DemoSettings, sets: int, progress: bool
) -> None:
    """Three quick methods on the demo's behaviour."""
    harmful, harmless = _requests(model, 2 * sets)
    found = compare(
        prompts_task(model, harmful, harmless, settings.promoted, "Sure! Here is"),
        CompareSettings(
            [settings.layer],
            random=3,
            chosen_on=3,
            measured_on=6,
            harmless=3,
            answer_tokens=8,
            questions=4,
        ),
        {name: METHODS[name] for name in TRIED},
        progress=progress,
    )
    report.figure(
        draw_comparison(found.table, found.random, about=found.about, budget=found.settings.budget),
        "Does a contrast of harmful with harmless requests make the model begin so?",
    )


def add_slopes(report: Report, model: HookedModel, layer: int, sets: int, progress: bool) -> None:
    """CAA on two behaviours that are asked with lettered answers."""
    harmful, _ = _request_texts(2 * sets)
    asked = {
        "right answers": [(each.text, each.right, each.wrong) for each in read_questions()],
        "refusals": [(text, "I will not help with that.", "Here is how.") for text in harmful],
    }
    settings = SlopeSettings([layer], [0.2], random=3, pairs=sets, measured_on=sets // 3)
    found = []
    for name, each in asked.items():
        task = caa_task(model, _with_choices(each[: 2 * sets]), name, test=settings.measured_on)
        found.append(slopes(task, settings, progress).summary())
    report.figure(
        draw_slopes(pd.concat(found, ignore_index=True)),
        "Does a contrast of lettered answers move the answers' letters, or their texts?",
    )


def _with_choices(asked: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Questions with an answer that matches and one that does not, as (A) and (B) by turns."""
    rows = []
    for number, (question, *answers) in enumerate(asked):
        turned = answers[::-1] if number % 2 else answers
        letters = ("(B)", "(A)") if number % 2 else ("(A)", "(B)")
        choices = "".join(
            f"\n ({letter}) {text}" for letter, text in zip("AB", turned, strict=True)
        )
        rows.append((f"{question}\n\nChoices:{choices}", *letters))
    return pd.DataFrame(rows, columns=["question", "matching", "not_matching"])


def add_decisions(report: Report, runs: SmallRuns, progress: bool) -> None:
    """Decisions under a vector from one scenario, and under random ones."""
    asking = AskingDecisions(runs.scenarios, runs.poser, progress)
    vectors = vectors_at(asking, [(runs.poser.layer, runs.poser.norm)], 1)
    controls = list(random_vectors(vectors[0], 2, runs.poser.seed))
    asked = runs.scenarios.test.iloc[: runs.decisions]
    found = asking.decisions([*vectors, *controls], asked).replace({"group": GROUPS})
    report.figure(
        draw_flips(
            {str(label): rates(some) for label, some in found.groupby("vector", sort=False)},
            kinds={vector.label: "control" for vector in controls},
        ),
        "The alignment-faking testbed. The vector was trained on one scenario with good "
        "oversight: added, it should flip those, subtracted the others.",
    )


def add_refusals(report: Report, runs: SmallRuns, progress: bool) -> None:
    """One-shot vectors beside the refusal direction, on a few requests."""
    requests, settings = runs.requests, replace(runs.refusal, requests=1)
    asking = AskingRequests(requests, settings, progress)
    vectors = one_shot_vectors(asking, [(settings.layer, settings.norm)], 1)
    train = requests.train
    harmful, harmless = (list(train[train["harmful"] == kind]["request"]) for kind in (True, False))
    prompts = [[requests.prompt(text) for text in some[:32]] for some in (harmful, harmless)]
    (direction,) = mean_difference(requests.model, *prompts, layers=[runs.direction_layer])
    n = runs.requests_asked
    outcomes = RefusalOutcomes.of(
        requests.model,
        requests.parent,
        list(requests.harmful)[:n],
        list(requests.test[~requests.test["harmful"].astype(bool)]["request"])[:n],
        requests.prompt,
        answer_tokens=settings.answer_tokens,
        harmless_tokens=settings.answer_tokens // 2,
        progress=progress,
    )
    with warnings.catch_warnings():  # the testbed refuses in its first words, or not at all
        warnings.filterwarnings("ignore", message="answers of .* tokens may end before")
        found = compare_refusal(
            outcomes,
            vectors,
            vectors[0].label,
            direction,
            harmful[:32],
            harmless[:32],
            random=1,
            progress=progress,
        )
    report.figure(
        draw_refusal_comparison(found),
        "The refusal testbed. Two vectors from one request, one that promotes an answer and one "
        f"that suppresses the refusal; the direction is that of layer {runs.direction_layer}. "
        f"Answers are cut at {settings.answer_tokens} tokens.",
    )


def _requests(model: HookedModel, count: int) -> tuple[list[str], list[str]]:
    """Harmful and harmless requests, in the model's own chat format."""
    harmful, harmless = ([chat(model, text) for text in some] for some in _request_texts(count))
    return harmful, harmless


def _request_texts(count: int) -> tuple[list[str], list[str]]:
    """Harmful and harmless requests as they are."""
    data = refusal.data("train")
    harmful, harmless = (
        list(data[data["harmful"] == kind]["request"][:count]) for kind in (True, False)
    )
    return harmful, harmless
