"""The page of the comparison between one-shot vectors and the refusal direction."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from workbench.analysis.mediation import ALONE, WHOLE, WITHOUT
from workbench.evaluation import Interval
from workbench.experiments.published import in_words
from workbench.experiments.refusal.comparison import ComparisonResult
from workbench.experiments.settings import Scale
from workbench.figures import Report, draw_cosine_geometry, draw_refusal_comparison


def comparison_page(result: ComparisonResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    settings, found = result.settings, result.comparison
    chosen = result.candidates[result.candidates["chosen"].astype(bool)].iloc[0]
    report = Report(
        "One-shot vectors and the refusal direction",
        f"{scale.models['refuses']}, vectors at layer {settings.one_shot.layer}, direction at "
        f"layer {int(chosen['layer'])}",
        lead=(
            f"{len(found.mediation.cosines)} vectors were made from one request each, half to "
            "promote an answer, half to suppress a refusal. The refusal direction was selected "
            f"among {len(result.candidates)} differences of means, by the scores of Arditi et al. "
            "Both are applied to requests that neither was made or chosen on."
        ),
    )
    report.section("The comparison")
    report.figure(
        draw_refusal_comparison(found),
        f"In every way: “{found.best}”, the best one-shot vector on validation requests.",
    )
    report.table(
        found.effects.round(3),
        "Every vector and way: strict success and harmless requests refused, with Wilson "
        "intervals; KL and cross-entropy change on harmless requests, nats a token.",
    )
    report.section("How the vectors lie")
    report.figure(
        draw_cosine_geometry(found.geometry),
        "Vectors of different layers are compared here: the direction is ablated from all of them.",
    )
    report.table(
        found.separated.to_frame().round(3),
        "How well a dot product with each vector tells harmless from harmful requests: above 0.5 "
        "the harmless ones lie further along it.",
    )
    report.section("What acts through the direction")
    mediation = found.mediation
    whole = mediation.mean(WHOLE)
    for words, part in (
        ("What is left without the part along the direction", WITHOUT),
        ("The part along the direction alone", ALONE),
    ):
        lost, mean = mediation.lost(part), mediation.mean(part)
        if whole is not None and lost is not None and mean is not None:
            report.text(
                f"{words}: attack success is {in_words(mean)} against {in_words(whole)} of the "
                f"whole vectors, a loss of {_points(lost)} at equal norm, paired by request."
            )
    report.table(mediation.to_frame().round(3), "Each vector and its parts, at its norm.")
    report.section("How the direction was selected")
    report.table(
        pd.DataFrame(
            {
                "score": list(scale.published),
                "published": list(scale.published.values()),
                "here": [round(float(chosen[name]), 3) for name in scale.published],
            }
        ),
        "The selected direction's scores beside those published for Gemma 2B (arXiv 2406.11717): "
        "another model, so only signs and sizes compare.",
    )
    report.table(
        result.candidates.sort_values("bypass").head(12).round(3),
        "The candidates whose ablation makes harmful requests least refused: the metric in nats "
        "of log-odds, KL in nats. A candidate is kept where it induces refusals (above 0) and "
        f"costs less than {settings.largest_kl:g} nats (0.1 in the paper).",
    )
    report.details("Settings", asdict(settings))
    return report


def _points(interval: Interval) -> str:
    return (
        f"{100 * interval.mean:.0f} points (95% {100 * interval.low:.0f} to "
        f"{100 * interval.high:.0f})"
    )
