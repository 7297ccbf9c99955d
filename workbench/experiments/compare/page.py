"""The page of a comparison of methods."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from workbench.experiments.compare.program import BEST, EQUAL, UNSTEERED, Comparison
from workbench.figures import Report, draw_comparison

_COST = ["kl", "surprisal", "distinct", "task_surprisal", "task_distinct", "accuracy"]
_BEHAVIOUR = ["method", "margin", "change", "low", "high", "gained", "shows"]


def comparison_page(found: Comparison, model: str) -> Report:
    """The page itself, not yet written."""
    exact = found.table[found.table["at"] == BEST]
    beyond, within = (exact[name].astype(bool) for name in ("beyond", "within"))
    cheap = within & (exact["kl"] <= found.settings.budget)
    shown = beyond & within & (exact["gained"] > 0)
    table = found.table.round(3)
    best, equal = (table[table["at"].isin([at, UNSTEERED])] for at in (BEST, EQUAL))
    methods = best[best["method"] != UNSTEERED]
    report = Report(
        f"Steering methods on “{found.task}”",
        f"{model}, {found.about}",
        lead=(
            f"Ways of making a steering vector, {len(methods)} in all, each given the same layers "
            f"({', '.join(map(str, found.settings.layers))}) and a budget of "
            f"{found.settings.budget:g} nats a token on harmless text. The budget was kept on "
            f"validation text by {within.sum()}, on test text too by {cheap.sum()}; {shown.sum()} "
            "kept it on validation, made the behaviour likelier, and changed it more than 95% of "
            "random vectors do that act in the same way at the same norm and place. A method's "
            "place and strength are chosen, a random vector's are not."
        ),
    )
    report.section("The comparison")
    report.figure(
        draw_comparison(
            found.table,
            found.random,
            about=found.about,
            budget=found.settings.budget,
            title=f"Methods on “{found.task}”",
        ),
        "How much likelier an answer that shows the behaviour becomes than one that lacks it.",
    )
    report.table(
        _sorted(best)[
            [*_BEHAVIOUR, "random_95", "below", *_COST, "within", "layer", "strength", "norm"]
        ],
        "At each method's best scale on validation. Gained: how much likelier the answer that "
        "shows the behaviour became, nats a token; below: the share of random vectors that change "
        "less. Surprisal: median of the answers to harmless prompts under the unsteered model, or "
        "one that shows the behaviour, nats a token; distinct: their share of different 3-grams; "
        "both also of answers to the task's own prompts; accuracy: right answers likelier than "
        "wrong ones; within: the budget was kept on validation.",
    )
    report.table(
        _sorted(equal)[[*_BEHAVIOUR, *_COST, "strength"]],
        f"At the scale that costs {found.settings.budget:g} nats a token on validation.",
    )
    report.section("What each used")
    report.table(
        _sorted(methods)[["method", "data", "candidates", "seconds", "note"]],
        "Labelled texts, candidates a layer to choose from (random vectors have one at the chosen "
        "place), and seconds to make one vector.",
    )
    if found.left_out:
        report.table(
            pd.DataFrame({"method": list(found.left_out), "why": list(found.left_out.values())}),
            "Not run on this task.",
        )
    report.details("Every layer and strength on validation", found.tried.round(4).to_string())
    report.details("Settings", asdict(found.settings))
    return report


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """The unsteered model first, then by what is changed."""
    order = table["change"].where(table["method"] != UNSTEERED, float("inf"))
    return table.assign(_order=order).sort_values("_order", ascending=False).drop(columns="_order")
