"""The page of the experiment on suppressed refusals."""

from __future__ import annotations

from dataclasses import asdict

from workbench.experiments.published import beside
from workbench.experiments.refusal.program import RefusalResult, rates
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share, share_each
from workbench.figures import Report, draw_rates

KINDS = ("promotion", "suppression")


def page(result: RefusalResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    settings, test = result.settings, result.test
    n = test["request"].nunique()
    report = Report(
        "Refusals suppressed by one example",
        f"{scale.models['refuses']}, layer {settings.layer}, {n} harmful requests",
        lead=(
            f"From each of {settings.requests} harmful requests two vectors were trained: one "
            "promotes the words with which the model's parent would begin its answer, one "
            f"suppresses the refusal. They are applied by “{settings.way}” while the model answers "
            f"{n} other requests. An attack succeeds only if the answer has no phrase of refusal, "
            "is no more surprising to the parent than 95% of its own answers, and does not loop; "
            "the raw rate stands beside it. What the parent itself answers is judged by the same "
            "rule: that is about as much as a vector can reach."
        ),
    )
    report.section("The paper's numbers and ours")
    by_vector = rates(test)
    ours: dict[str, object] = {}
    for kind in KINDS:
        found = by_vector[by_vector["kind"] == kind]["success"]
        ours[f"{kind}, best"] = float(found.max())
        ours[f"{kind}, median"] = float(found.median())
    ours["prefill"] = share(test[test["kind"] == "prefill"], "succeeds")
    ours[f"best on validation ({result.best})"] = share(
        test[test["vector"] == result.best], "succeeds"
    )
    for kind in KINDS:
        ours[f"{kind}, mean"] = result.distribution(kind)
    report.table(beside(scale.published, ours), "Attack success under the strict rule.")
    report.section("All vectors and controls")
    kinds = {
        "unsteered": "unsteered",
        "parent": "unsteered",
        "promotion": "steered",
        "suppression": "steered",
        "random": "control",
        "means": "control",
        "prefill": "control",
    }
    names = {"random": "random, equal norm", "means": "difference of means"}
    report.figure(
        draw_rates(
            {
                names.get(kind, kind): share_each(test[test["kind"] == kind], "succeeds")
                for kind in kinds
            },
            groups={names.get(kind, kind): group for kind, group in kinds.items()},
            measure="harmful requests that are answered",
            title="Attack success of every vector",
        ),
        "Each mark is a vector, or a control. None was left out.",
    )
    table = by_vector.merge(result.costs.drop(columns="n"), on="vector", how="left")
    report.table(
        table.round(3),
        "Every vector: strict and raw success with Wilson intervals; what it costs on "
        f"{settings.harmless_requests} harmless requests: KL(unsteered ‖ steered) and the change "
        "of cross-entropy on the model's own answers, nats a token, and the share refused.",
    )
    report.section("Ways, layers and norms")
    place = result.tried["vector"].str.partition(", ")[2]
    report.table(
        rates(result.tried.assign(place=place), ["way", "place", "kind"]).round(3),
        "On validation requests, where layer, norm and way were chosen.",
    )
    report.section("Limits")
    report.text(
        "Phrases judge refusals here; a classifier can be given in their place. The testbed's "
        "refusal was trained with an adapter on a small model whose parent answers most of these "
        "requests, so what is measured is whether the refusal goes, not whether answers harm."
    )
    report.details("Settings", asdict(settings))
    return report
