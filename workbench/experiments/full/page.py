"""The page of an experiment in full: four questions, a figure and a table each."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from workbench.evaluation import Interval
from workbench.experiments.full.program import UNSTEERED, FullResult
from workbench.experiments.full.settings import FullTask
from workbench.experiments.published import in_words
from workbench.experiments.settings import Scale
from workbench.experiments.shares import share_each
from workbench.figures import Report, draw_correlations, draw_rates


def page(result: FullResult, task: FullTask, scale: Scale, name: str) -> Report:
    """The page itself, not yet written."""
    settings = result.settings
    prompts = result.seeds["prompt"].nunique()
    report = Report(
        f"Which one-shot vectors generalize: {name}",
        f"{', '.join(scale.models.values())}, {prompts} unseen prompts",
        lead=(
            f"What counts as an outcome: {task.wanted}. All vectors are of layer "
            f"{task.job['layer']}, trained with the settings below; none was chosen, all are shown."
        ),
    )
    report.section("Against chance")
    groups = {
        "one-shot": result.seeds,
        "random": result.controls[result.controls["vector"] != UNSTEERED],
        UNSTEERED: result.controls[result.controls["vector"] == UNSTEERED],
    }
    report.figure(
        draw_rates(
            {name: share_each(some, "wanted") for name, some in groups.items() if len(some)},
            groups={"random": "control", UNSTEERED: "unsteered"},
            measure=task.wanted,
            title="Outcome under one-shot and random vectors, and unsteered",
        ),
        "Each mark is a vector. Random vectors have the norm of the longest one-shot vector."
        + (" Unsteered, nothing would count, by what is asked." * (task.unsteered is None)),
    )
    report.section("Is it the example or the seed?")
    items = result.seeds.groupby("item", sort=True)
    report.figure(
        draw_rates(
            {f"training item {item}": share_each(some, "wanted") for item, some in items},
            measure=task.wanted,
            title="Outcome by training item; a mark each random start",
        ),
        f"{settings.examples} training items, {settings.seeds} random starts of each.",
    )
    report.table(
        result.variance().round(3),
        "How much vectors' shares vary (standard deviations) between training items and between "
        "random starts of one item, and the item's share of the variance, with 95% bootstrap "
        "intervals over items.",
    )
    report.section("Do more examples help?")
    report.figure(
        draw_rates(
            {
                f"{size} at once": share_each(some, "wanted")
                for size, some in result.curve.groupby("size", sort=True)
            },
            measure=task.wanted,
            title="Outcome by the number of training items",
        ),
        f"{settings.draws} draws of items for each number; the loss is the mean over them. Large "
        "draws share items, so that their intervals speak of these items only.",
    )
    trained = result.sizes.groupby("size", sort=True)[["loss", "norm", "steps"]].median()
    report.table(
        _intervals("size", result.by_size()).merge(trained.round(3).reset_index(), on="size"),
        f"{_CAPTION} Beside it the medians of the final loss (the sum over all items, nats), of "
        "the norm, and of the updates until the stop: a curve over norms would be no curve over "
        "examples.",
    )
    report.section("Adam or L-BFGS?")
    optimizers = result.optimizers.groupby("optimizer", sort=False)
    report.figure(
        draw_rates(
            {str(name): share_each(some, "wanted") for name, some in optimizers},
            measure=task.wanted,
            title="Outcome by optimizer",
        ),
        "The same training items; Adam and the first L-BFGS from the same random start.",
    )
    effort = result.effort.groupby("optimizer", sort=False)[["loss", "evaluations"]].median()
    report.table(
        _intervals("optimizer", result.by_optimizer()).merge(
            effort.round(3).reset_index(), on="optimizer"
        ),
        f"{_CAPTION} Beside it the medians of the final loss (nats) and of how often loss and "
        "gradient were evaluated.",
    )
    report.section("Can one tell beforehand?")
    correlations = result.correlations()
    if len(correlations):
        report.figure(
            draw_correlations(correlations),
            "Figures that need no labels: the final loss, the vector's norm, updates until the "
            "stop, the rise of the loss under noise of "
            f"{settings.radius:g} of the norm (sharpness), the cosine to the mean of the other "
            "items' vectors, and KL on answers to harmless questions. The bootstrap draws training "
            "items. Figures that are the same for all vectors are left out.",
        )
        report.table(
            correlations.round(3),
            "Spearman's rank correlations with the outcome, with 95% bootstrap intervals.",
        )
    report.table(result.predictors.drop(columns=["item"]).round(3), "All of them, by vector.")
    report.details("Settings", {"vectors": dict(task.job), **asdict(settings)})
    return report


_CAPTION = "Means over vectors and prompts, with two-level bootstrap intervals."


def _intervals(name: str, found: dict[int, Interval] | dict[str, Interval]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: key, "outcome": in_words(interval)} for key, interval in found.items()
    )
