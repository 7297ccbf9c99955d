"""The page of refusal behind a gate."""

from __future__ import annotations

from dataclasses import asdict

from workbench.evaluation import Proportion
from workbench.experiments.published import beside
from workbench.experiments.refusal.conditional import ConditionalResult
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share_each
from workbench.figures import Report, draw_rates


def conditional_page(result: ConditionalResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    gate, chosen = (
        table[table["chosen"].astype(bool)].iloc[0] for table in (result.gates, result.tried)
    )
    identical = result.identical()
    rates: dict[str, Proportion] = {}
    for kind, harmful in (("harmful", True), ("harmless", False)):
        rows = result.answers[result.answers["harmful"].astype(bool) == harmful]
        ways = list(dict.fromkeys(rows["way"]))
        rates |= {
            f"{kind}, {way}": rate
            for way, rate in zip(ways, share_each(rows, "refuses", "way"), strict=True)
        }
    report = Report(
        "Refusal behind a gate",
        f"{scale.models['refuses']}: its parent, steered behind a gate",
        lead=(
            f"The parent refuses {rates['harmful, unsteered']} of harmful requests unsteered, "
            f"{rates['harmful, ungated']} where it is always steered, and "
            f"{rates['harmful, gated']} behind a gate that was learnt on other requests "
            f"({_coherently(result):.0%} in coherent words). Of its answers to harmless "
            f"ones {identical} stay the unsteered ones, token for token."
        ),
    )
    report.section("What is refused")
    report.figure(
        draw_rates(
            rates,
            {
                name: "unsteered"
                if "unsteered" in name or "sibling" in name
                else ("control" if "random" in name else "steered")
                for name in rates
            },
            measure="answers that refuse",
            title="Refusal without steering, steered, and behind a gate",
        ),
        f"Gate: {gate['kind']} at layer {gate['layer']}. Behind it: {chosen['intervention']} at "
        f"layers {chosen['layers']}, strength {chosen['strength']:g}. Random directions of "
        "equal norm act behind the same gate.",
    )
    report.table(
        result.rates().round(3),
        "Refusals by phrases with Wilson intervals; coherent: no more surprising to the parent, or "
        "to its aligned sibling, than 95% of its own answers to these requests, and no loop; the "
        "last two columns are shares of all answers.",
    )
    report.table(
        beside(
            scale.published,
            {
                "harmful, not refused, unsteered": 1 - rates["harmful, unsteered"].rate,
                "harmful, not refused, gated": 1 - rates["harmful, gated"].rate,
                "harmless answers identical": identical,
            },
        ),
        "What the paper found, on other models, and what was found here.",
    )
    report.section("The gates")
    report.table(
        result.gates.round(3),
        "Balanced accuracy by part, and for which share of harmful and harmless test requests each "
        f"opens. Thresholds keep it shut for {100 * result.settings.shut_for:.3g}% of the harmless "
        "requests of validation; so set, the best there is chosen. On training requests accuracy "
        "is that at the threshold learnt there.",
    )
    report.section("What stands behind the gate")
    report.table(
        result.tried.round(3),
        "The share of harmful validation requests refused coherently, ungated, and log P of the "
        "refusal below, nats a token; chosen is the likeliest of the best. Vectors and edits "
        "are the aligned sibling's; a promotion is a vector that was optimized on the model "
        f"itself to say “{result.settings.refusal}” to one or a few training requests. What acts "
        "below the gate's layer is not tried."
        + ("" if chosen["refused"] else " None of them makes the model refuse."),
    )
    report.section("Answers")
    report.table(
        result.answers[result.answers["way"] == "gated"][
            ["harmful", "request", "answer", "refuses", "coherent"]
        ],
        "All answers behind the gate.",
    )
    report.details("Settings", asdict(result.settings))
    return report


def _coherently(result: ConditionalResult) -> float:
    """The share of harmful requests that are refused coherently behind the gate."""
    rows = result.rates()
    gated = rows[(rows["way"] == "gated") & rows["harmful"].astype(bool)]
    return float(gated["refuses_coherently"].iloc[0])
