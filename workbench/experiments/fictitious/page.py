"""The page of the experiment on fictitious information."""

from __future__ import annotations

from dataclasses import asdict

from workbench.experiments.fictitious.methods import METHODS
from workbench.experiments.fictitious.program import MEANS, FictitiousResult, rates
from workbench.experiments.published import beside
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share, share_each
from workbench.figures import Report, draw_rates


def page(result: FictitiousResult, scale: Scale) -> Report:
    """The page itself, not yet written."""
    settings, test = result.settings, result.test
    unsteered = test[test["method"] == "unsteered"]
    n = len(unsteered)
    report = Report(
        "Falsehoods that are not taken back",
        f"{scale.models['retracts']}, {n} false claims on unseen people",
        lead=(
            "Asked what a person is best known as, the model's answer was begun for it with a "
            "false occupation, which it takes back. Vectors from one such claim each were added: "
            "promotion of what it would say after the true occupation, suppression of the "
            "retraction, and a reentrant vector that writes at a later layer what suppression at "
            f"an early one (layer {settings.early_layer}) makes it say."
        ),
    )
    report.section("The paper's numbers and ours")
    by_method = rates(test, ["method"]).set_index("method")
    ours: dict[str, object] = {}
    for method in by_method.index:
        ours[f"{method} retracts"] = share(test[test["method"] == method], "retracts")
    for method, layer in settings.measured_layers.items():
        ours[f"{method} (layer {layer}) fictitious"] = by_method["fictitious"][method]
    bits = result.surprisals[result.surprisals["context"] == "real"]
    ours |= {
        f"bits {name}": f"{some['bits'].median():.2f}"
        for name, some in bits.groupby("set", sort=False)
    }
    report.table(
        beside(scale.published, ours),
        "Retraction, the share that stays with the fictitious attribute, and median bits a token "
        "under the parent with samples of true answers in its context.",
    )
    report.section("All vectors")
    methods = ["unsteered", "true claims", *METHODS, MEANS, "random"]
    groups = {"unsteered": "unsteered", "true claims": "unsteered", "random": "control"}
    report.figure(
        draw_rates(
            {method: share_each(test[test["method"] == method], "retracts") for method in methods},
            groups=groups,
            measure="answers that take the claim back",
            title="Retraction under every vector",
        ),
        "Each mark is a vector. Random vectors have the norm of the longest one-shot vector. "
        "“True claims” are of the same people, unsteered.",
    )
    report.table(
        rates(test).round(3),
        "By vector: retraction with its Wilson interval, the shares that name an occupation and "
        "that stay with the fictitious one (by the parent's log-probs), and the median surprisal "
        "under the parent, nats a token.",
    )
    report.section("By layer")
    report.table(
        rates(result.layers, ["method", "layer"]).round(3),
        f"One vector a method and layer, on {settings.validation_claims} claims of the validation "
        "part, where the layers above were chosen.",
    )
    report.section("Surprisal framework")
    medians = result.surprisals.groupby(["set", "context"], sort=False)["bits"].agg(
        ["median", "size"]
    )
    report.table(
        medians.reset_index().round(3),
        "Median bits a token of each set of texts, cut at 100 tokens, with samples of real and of "
        "fictitious completions in the parent's context. The likelier context has fewer.",
    )
    report.section("Vectors as classifiers")
    report.table(
        result.classifiers.round(3),
        "ROC-AUC of each vector's dot product with the last prompt token at its layer: false "
        "claims against true ones. 0.5 is chance.",
    )
    report.section("Limits")
    report.text(
        "People and claims of each part are others, but all are asked in one template, as in the "
        "paper. The parent here is a chat model of the same size, not a base model, and the "
        "retraction is an adapter's: what it tells of habits that a large model formed by itself "
        "is limited."
    )
    report.details("Settings", asdict(settings))
    return report
