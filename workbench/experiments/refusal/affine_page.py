"""The page of affine editing of refusal."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from workbench.evaluation import Proportion
from workbench.experiments.published import beside
from workbench.experiments.refusal.affine import AffineResult
from workbench.experiments.refusal.judging import listed
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share
from workbench.figures import Report, draw_distributions, draw_dose

KINDS = (("harmful", True), ("harmless", False))


def affine_page(result: AffineResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    settings = result.settings
    ours = {
        f"{kind}, strength {strength:g}": _refused(result, f"strength {strength:g}", harmful)
        for strength in settings.strengths
        for kind, harmful in KINDS
    }
    report = Report(
        "Refusal edited affinely",
        f"{scale.models['refuses']}, layers {listed(result.layers)}",
        lead=(
            "Affine concept editing sets the component along the difference between harmful and "
            "harmless requests: 0 is where harmless ones lie, 1 where harmful ones do. "
            + " ".join(
                f"At strength {strength:g}, {_told(result, strength, harmful)} of {kind} requests "
                f"are refused ({_strict(result, strength, harmful)})."
                for strength in (min(settings.strengths), max(settings.strengths))
                for kind, harmful in KINDS
            )
        ),
    )
    report.section("Refusal by strength")
    for kind, harmful in KINDS:
        report.figure(
            draw_dose(
                list(settings.strengths),
                [_refused(result, f"strength {each:g}", harmful) for each in settings.strengths],
                controls=_controls(result, harmful),
                measure="answers that refuse",
                scale="strength of the edit",
                title=f"Refusal of {kind} requests by strength of the edit",
            ),
            "Both kinds of requests should be refused alike: nearly none at 0, nearly all at 1.",
        )
    report.table(
        result.rates().round(3),
        "Refusals by phrases with Wilson intervals; coherent: no more surprising to the parent, or "
        "to the model that refuses, than 95% of its own answers to these requests, and no loop; "
        "the last two columns are shares of all answers.",
    )
    report.table(beside(scale.published, ours), "What the paper says, and what was found here.")
    report.section("Where requests lie")
    places = result.projections
    report.figure(
        draw_distributions(
            {
                f"{kind}, layer {layer}": _places(places, layer, harmful)
                for layer in result.layers
                for kind, harmful in KINDS
            },
            measure="place along the concept (0: mean of harmless, 1: of harmful training ones)",
            title="Test requests along the edited direction",
        ),
        "At the last token of each request, unedited. An edit puts all of them at one place.",
    )
    report.section("How the layers were chosen")
    report.table(
        result.tried.round(3),
        "Validation requests: the share that answers coherently and refuses at 1, or does not at "
        "0. The layers with the largest mean are edited.",
    )
    report.section("Answers")
    report.table(
        result.answers[result.answers["way"].isin(["strength 0", "strength 1"])][
            ["way", "harmful", "request", "answer", "refuses", "coherent"]
        ],
        "All answers at 0 and at 1.",
    )
    report.details("Settings", asdict(settings))
    return report


def _told(result: AffineResult, strength: int | float, harmful: bool) -> str:
    return str(_refused(result, f"strength {strength:g}", harmful))


def _strict(result: AffineResult, strength: int | float, harmful: bool) -> str:
    """How many answers refuse, and answer, and are coherent besides."""
    rows = result.rates()
    at = rows[(rows["way"] == f"strength {strength:g}") & (rows["harmful"] == harmful)]
    refuses, answers = (
        float(at[name].iloc[0]) for name in ("refuses_coherently", "answers_coherently")
    )
    return f"coherent refusals {refuses:.0%}, coherent answers {answers:.0%}"


def _places(places: pd.DataFrame, layer: int, harmful: bool) -> list[float]:
    rows = places[(places["layer"] == layer) & (places["harmful"].astype(bool) == harmful)]
    return [float(each) for each in rows["place"]]


def _refused(result: AffineResult, way: str, harmful: bool) -> Proportion | None:
    answers = result.answers
    rows = answers[(answers["way"] == way) & (answers["harmful"].astype(bool) == harmful)]
    return share(rows, "refuses") if len(rows) else None


def _controls(
    result: AffineResult, harmful: bool
) -> dict[str, Proportion | dict[float, list[Proportion | None]]]:
    found: dict[str, Proportion | dict[float, list[Proportion | None]]] = {}
    if (unsteered := _refused(result, "unsteered", harmful)) is not None:
        found["unsteered"] = unsteered
    if result.settings.random:
        found["random directions"] = {
            strength: [
                _refused(result, f"random {number + 1}, strength {strength:g}", harmful)
                for number in range(result.settings.random)
            ]
            for strength in (0.0, 1.0)
        }
    return found
