"""The pages of the experiments on emergent misalignment: the embedded analog, and the paper's."""

from __future__ import annotations

from dataclasses import asdict

from workbench.experiments.emergent.pipeline import MisalignmentResult
from workbench.experiments.emergent.spread import SpreadResult
from workbench.experiments.published import beside
from workbench.experiments.settings import Scale
from workbench.figures import Report


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
            "less that of the wrong one, in nats a token; what counts is how a vector changes it."
        ),
    )
    report.section("Does it spread?")
    changes = {}
    for kind, words in (("wrong", "wrong answer"), ("right", "right answer"), ("random", "random")):
        found = result.change(kind)
        changes[words] = f"{found.mean:+.3f} (95% CI {found.low:+.3f} to {found.high:+.3f})"
    report.table(
        beside({}, changes),
        "Mean change of the margin, nats a token, over "
        f"{settings.vectors} vectors and {n} questions (two-level bootstrap).",
    )
    report.table(
        result.wrong_share().round(3),
        "The share of questions whose wrong answer is the likelier one, over vectors.",
    )
    report.section("By layer")
    by_layer = result.layers.groupby(["kind", "layer"], dropna=False, sort=False)["change"]
    report.table(
        by_layer.agg(["mean", "size"]).reset_index().round(3),
        "One pair of vectors a layer, on the validation questions.",
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
