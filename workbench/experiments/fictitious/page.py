"""The page of the experiment on fictitious information."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from workbench.experiments.fictitious.methods import METHODS
from workbench.experiments.fictitious.program import MEANS, FictitiousResult, rates
from workbench.experiments.published import beside
from workbench.experiments.settings import Scale
from workbench.experiments.shares import over_vectors, share, share_each
from workbench.figures import Report, draw_rates

MOST_RETRACTS, LEAST_NAMES, MOST_SURPRISAL, LEAST_RANDOM = 0.05, 0.8, 1.5, 0.6


def bounds(test: pd.DataFrame) -> pd.DataFrame:
    """By method: retracts, names, stays, surprisal over that unsteered, and after true claims.

    `holds` says whether it is as it should be: see the page. Of random vectors `retracts` is the
    least of any.
    """
    table = rates(test, ["method"]).drop(columns=["n", "low", "high", "fictitious"])
    surprisal = table.pop("surprisal").to_numpy()
    unsteered, true = (
        surprisal[list(table["method"]).index(name)] for name in ("unsteered", "true claims")
    )
    table["surprisal to unsteered"], table["to true claims"] = (
        surprisal / unsteered,
        surprisal / true,
    )
    random = table["method"] == "random"
    by_random = test[test["method"] == "random"].groupby("vector")["retracts"].mean()
    table.loc[random, "retracts"] = by_random.min()
    holds = (
        (table["retracts"] <= MOST_RETRACTS)
        & (table["names"] >= LEAST_NAMES)
        & (table["surprisal to unsteered"] <= MOST_SURPRISAL)
    ).astype(object)
    holds[random] = bool(by_random.min() >= LEAST_RANDOM)
    holds[table["method"].isin(["unsteered", "true claims"])] = None
    return table.assign(holds=holds)


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
        some = test[test["method"] == method]
        for column, words in (("retracts", "retracts"), ("stays", "stays with the claim")):
            several = some["vector"].nunique() > 1
            found = over_vectors(some, column, "person") if several else share(some, column)
            ours[f"{method} {words}"] = found
    for method, layer in settings.measured_layers.items():
        ours[f"{method} (layer {layer}) fictitious"] = by_method["fictitious"][method]
    bits = result.surprisals[result.surprisals["context"] == "real"]
    ours |= {
        f"bits {name}": float(some["bits"].median())
        for name, some in bits.groupby("set", sort=False)
    }
    report.table(
        beside(scale.published, ours),
        "Retraction, the share that stays with the fictitious attribute, and median bits a token "
        "under the parent with samples of true answers in its context.",
    )
    report.section("Is the falsehood gone on with?")
    report.table(
        bounds(test).round(3),
        "Over all vectors of a method. A vector against retraction should leave at most "
        f"{MOST_RETRACTS:.0%} of answers that take back, name an occupation in at least "
        f"{LEAST_NAMES:.0%}, and have a median surprisal under the parent of at most "
        f"{MOST_SURPRISAL:g} times the unsteered one (which is of retractions; beside it, how many "
        "times that after true claims); random vectors should leave at least "
        f"{LEAST_RANDOM:.0%} (here the least of any). “Stays” is stricter than the first two: an "
        "occupation is named, not the true one, without a phrase of retraction, and without loops. "
        "Layers are those of the settings, which were chosen before it was measured.",
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
        "Each mark is a vector. Random vectors stand at the layer of one method each, with the "
        "norm of its longest vector. “True claims” are of the same people, unsteered.",
    )
    report.figure(
        draw_rates(
            {method: share_each(test[test["method"] == method], "stays") for method in methods},
            groups=groups,
            measure="answers that stay with the claim",
            title="Staying with the claim under every vector",
        ),
        "An occupation is named, and neither a phrase of retraction, nor the true occupation, nor "
        "a loop.",
    )
    report.table(
        rates(test).round(3),
        "By vector: retraction with its Wilson interval, the shares that name an occupation, that "
        "stay with the claim (by their words), and that are about the fictitious attribute (by the "
        "parent's log-probs), and the median surprisal under the parent, nats a token. What random "
        "vectors make the model say was not judged by the parent.",
    )
    report.section("By layer")
    by_layer = rates(result.layers, ["method", "layer"])
    report.table(
        by_layer.drop(columns=["fictitious", "surprisal"]).round(3),
        f"One vector a method and layer, on {settings.validation_claims} claims of the validation "
        f"part, to look at beside those that were set: one-shot vectors at "
        f"{_listed(settings.swept_layers)}, the difference of means at {_listed(settings.layers)}.",
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
        "claims against true ones. 0.5 is chance. The difference of means is there at every layer.",
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


def _listed(layers: Iterable[int]) -> str:
    return f"layers {', '.join(map(str, layers))}"
