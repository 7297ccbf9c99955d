"""The pages of the experiments on emergent misalignment: the embedded analog, and the paper's."""

from __future__ import annotations

from dataclasses import asdict

from workbench.evaluation import Interval
from workbench.experiments.emergent.pipeline import MisalignmentResult
from workbench.experiments.emergent.spread import RESCALED, SpreadResult
from workbench.experiments.published import beside
from workbench.experiments.settings import Scale
from workbench.figures import Report, draw_distributions

KINDS = {
    "wrong": "wrong answer",
    "right": "right answer",
    RESCALED: "right answer, equal norm",
    "random": "random",
}
TWINS = ("right", RESCALED)
_COLOURS = ("steered", "negated", "negated", "control")


def spread_page(result: SpreadResult, scale: Scale) -> Report:
    """The page of the embedded analog, not yet written."""
    settings, test = result.settings, result.test
    n = test["question"].nunique()
    report = Report(
        "One wrong answer, and how far it spreads",
        f"{scale.models['answers']}, layer {settings.layer}, {n} unrelated questions",
        lead=(
            f"From each of {settings.vectors} questions on capitals two vectors were trained: one "
            "until the model gives the wrong answer, one until it is sure of the right one. On "
            f"{n} questions of other subjects, the margin is the log-prob of the right answer "
            "less that of the wrong one, in nats a token; what counts is how a vector changes it. "
            "A right answer is soon likely and its vector short; so each stands here a second "
            "time, at the norm of its wrong twin."
        ),
    )
    report.section("Does it spread?")
    by_vector = result.by_vector()
    groups = {words: by_vector[by_vector["kind"] == kind] for kind, words in KINDS.items()}
    report.figure(
        draw_distributions(
            {words: list(some["change"]) for words, some in groups.items()},
            measure="change of the margin (nats a token)",
            title="Change of the margin on unrelated questions, by vector",
            texts={words: list(some["vector"]) for words, some in groups.items()},
            kinds=dict(zip(KINDS.values(), _COLOURS, strict=True)),
        ),
        f"Each mark is a vector, its mean over {n} questions; below 0 it makes wrong answers "
        "likelier.",
    )
    changes = {words: _nats(result.change(kind)) for kind, words in KINDS.items()}
    report.table(
        beside({}, changes),
        "Mean change of the margin, nats a token, over "
        f"{settings.vectors} vectors and {n} questions (two-level bootstrap).",
    )
    twins = {f"wrong less {KINDS[kind]}": _nats(result.difference(kind)) for kind in TWINS}
    report.table(
        beside({}, twins),
        "How much more a wrong vector changes the margin than its twin from the same question, "
        "nats a token, in pairs. A wrong answer spreads only if this lies below 0 with its "
        "interval, at equal norm.",
    )
    report.table(
        result.wrong_share().replace({"kind": KINDS}).round(3),
        "The share of questions whose wrong answer is the likelier one, with 95% intervals over "
        "vectors and questions (unsteered: over questions, Wilson).",
    )
    report.section("What was trained")
    report.table(
        result.norms().replace({"kind": KINDS}).round(2),
        "Norms (median, least, most), and the median loss of the vector's own answer in nats "
        f"before and after; training stops at {settings.target_loss:g}. Untrained: it was there "
        "at the start, and the vector is its random start, so that its twin's norm makes it a "
        "random vector.",
    )
    report.section("By layer")
    steered = result.layers.dropna(subset=["layer"]).astype({"layer": int})
    by_layer = steered.pivot_table(index="layer", columns="kind", values="change", sort=False)
    report.table(
        by_layer.rename(columns=KINDS).reset_index().round(3),
        "Mean change of the margin, nats a token: one pair of vectors a layer, on "
        f"{steered['question'].nunique()} validation questions.",
    )
    report.section("The paper's numbers")
    report.table(beside(scale.published, {}), "Answers of 100 that have a word, of the 14B model.")
    report.section("Limits")
    report.text(
        "A change that random vectors make as well is no spread of wrongness, but of damage. "
        "Whether a wrong fact is to a small model what harmful code is to a large one, this "
        "cannot tell."
    )
    report.details("Settings", asdict(settings))
    return report


def _nats(found: Interval) -> str:
    return f"{found.mean:+.3f} (95% CI {found.low:+.3f} to {found.high:+.3f})"


def misalignment_page(result: MisalignmentResult, scale: Scale) -> Report:
    """The page of the paper's pipeline, not yet written."""
    settings, answers = result.settings, result.answers
    report = Report(
        "Emergent misalignment from one line of code",
        f"{scale.models['answers']}, layers {settings.anti_layer} and {settings.layer}",
        lead=(
            "An anti-refusal vector, a vector that writes one line of harmful code, and free "
            f"answers to {len(settings.questions)} questions, {settings.samples} of each, sampled "
            "at temperature 1."
        ),
    )
    if answers["misaligned"].notna().all():
        report.section("Misaligned answers")
        report.table(result.rates().round(3), "By condition, as judged; Wilson intervals.")
    report.section("Answers side by side")
    conditions = list(dict.fromkeys(answers["condition"]))
    first = answers.groupby(["question", "condition"], sort=False)["answer"].first()
    report.side_by_side(
        [(q, *(first[q, c] for c in conditions)) for q in settings.questions],
        ["question", *conditions],
        "The first sample of each; none was chosen.",
    )
    report.section("The paper's numbers")
    report.table(beside(scale.published, {}), "Answers of 100 that have a word.")
    report.details("Settings", asdict(settings))
    return report
