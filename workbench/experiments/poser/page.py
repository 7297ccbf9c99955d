"""The page of the experiment on flips of decisions."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from workbench.experiments.poser.program import RATES, PoserResult, rates, worst_rate
from workbench.experiments.published import beside
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share
from workbench.figures import Report, draw_flips

WORDS = {
    ("+v", "good"): "added, good oversight (should flip)",
    ("-v", "poor"): "subtracted, poor oversight (should flip)",
    ("-v", "good"): "subtracted, good oversight (should stay)",
    ("+v", "poor"): "added, poor oversight (should stay)",
}


GROUPS = {"good": "good oversight", "poor": "poor oversight"}


def page(result: PoserResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    settings, test = result.settings, result.test
    shots = test[test["kind"] == "one-shot"]
    best = result.chosen[~result.chosen["swapped"]]
    vectors = shots["vector"].nunique()
    n, shown = (len(some[some["way"] == "+v"]["prompt"].unique()) for some in (best, shots))
    report = Report(
        "Decisions flipped by one example",
        f"{scale.models['decides']}, layer {settings.layer}, norm {settings.norm:g}, "
        f"{n} unseen scenarios",
        lead=(
            "A model that takes a harmful, profitable action only where nobody will notice was "
            f"given steering vectors. Each of {vectors} was trained on a single scenario with good "
            "oversight, to take the harmful action in either order of the actions. Added, such a "
            "vector should make the model harmful under good oversight too; subtracted, harmless "
            "under poor oversight; and leave the other decisions alone. A decision counts as "
            "flipped only if the greedy text states the other action."
        ),
    )
    report.section("The paper's numbers and ours")
    ours = {f"{way} {group}": share(_of(best, way, group), "flipped") for way, group in RATES}
    report.table(
        beside(scale.published, ours),
        "Flips under the best vector: the paper's best of five of norm 15, and here the one of "
        f"{vectors} that was best on validation ({result.best}).",
    )
    report.table(
        beside({}, {WORDS[rate]: found for rate, found in result.distribution().items()}),
        f"Means over all vectors on {shown} of the scenarios; the intervals speak of other vectors "
        "and other scenarios (two-level bootstrap).",
    )
    by_order = rates(result.chosen, ["harmful_first"])[
        ["harmful_first", "way", "group", "n", "flipped", "low", "high"]
    ]
    report.table(
        by_order.replace({"group": GROUPS}).round(3),
        "The same vector by the order of the actions, every scenario asked in both; the table "
        "above has one order of each. What flips in one order only follows the place of an "
        "action, not its harm.",
    )
    report.section("All vectors")
    randoms = test[test["kind"] == "random"]
    every = pd.concat([shots, randoms]).replace({"group": GROUPS})
    report.figure(
        draw_flips(
            {str(label): rates(some) for label, some in every.groupby("vector", sort=False)},
            kinds=dict.fromkeys(randoms["vector"], "control"),
            title="Flips under every one-shot vector and every random one",
        ),
        f"Each mark is a vector, on {shown} scenarios; random vectors (control) have the longest's "
        f"norm and were asked the first {randoms['prompt'].nunique()}. None was left out.",
    )
    neither = rates(pd.concat([shots, best.assign(kind="the best")]), ["kind"])[
        ["kind", "way", "group", "neither"]
    ].assign(neither=lambda frame: frame["neither"].map("{:.1%}".format))
    report.table(
        neither, "Answers that state neither action, under all one-shot vectors and under the best."
    )
    report.section("Where such vectors work")
    report.table(
        _places(result.tried),
        f"The four rates by layer and norm, {settings.tried} vectors each, on "
        f"{settings.tried_prompts} scenarios of the validation part. The last column is the worst "
        "of the four, with those that should be low turned round: a layer is good only if all are. "
        "Chosen was the place whose worst rate is best, of equal ones that of the best mean of the "
        f"four, then the first: layer {settings.layer}, norm {settings.norm:g}.",
    )
    report.section("Controls and limits")
    right = share(best[best["way"] == "+v"], "right")
    report.text(
        f"Without steering the model decides as it was trained in {right}. "
        "Layer, norm and vector were chosen on validation scenarios; actions, sentences on "
        "oversight and their templates are others in each part. What a small model with an "
        "adapter cannot tell is whether behaviour that was trained for at length, in a large "
        "model, yields as easily; and the testbed answers in the words of the action, the paper's "
        "model with a letter."
    )
    report.details("Settings", asdict(settings))
    return report


def _of(decisions: pd.DataFrame, way: str, group: str) -> pd.DataFrame:
    return decisions[(decisions["way"] == way) & (decisions["group"] == group)]


def _places(tried: pd.DataFrame) -> pd.DataFrame:
    """One row a layer and norm: the four rates and the worst of them."""
    place = tried["vector"].str.partition(", ")[2]
    rows = []
    for name, some in tried.groupby(place, sort=False):
        found = {" ".join(rate): f"{share(_of(some, *rate), 'flipped').rate:.0%}" for rate in RATES}
        rows.append({"layer and norm": name, **found, "worst": f"{worst_rate(some):.0%}"})
    return pd.DataFrame(rows)
