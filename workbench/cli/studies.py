"""Commands that measure and draw: the demo, sweeps, experiments, and their pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import (
    DEFAULT_MODEL,
    DtypeOption,
    ModelOption,
    errors_in_words,
    name_and_path,
)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the vectors and report.html.")] = Path(
        "out/demo"
    ),
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Steer a chat model with a vector made from one example, and show what happened."""
    from workbench.experiments.demo import run_demo
    from workbench.experiments.demo_report import write_demo
    from workbench.models import load_model

    with errors_in_words():
        typer.echo(f"Loading {model}.")
        result = run_demo(load_model(model))
        page = write_demo(result, out)
    typer.echo(f"\nVector: {result.run.vector!r}\nTrained on: {result.settings.training[0]}\n")
    typer.echo(result.table().to_string(index=False))
    typer.echo(f"\n{result.surprisal_sentence()}\n\nThe page: {page}")


def gallery(
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("out/gallery"),
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Make every figure on one model, on a single page (a few minutes)."""
    from workbench.experiments.gallery import write_gallery
    from workbench.models import load_model

    with errors_in_words():
        typer.echo(f"The page: {write_gallery(load_model(model), out)}")


def sweep(
    question: Annotated[str, typer.Argument(help="What the user asks.")],
    promote: Annotated[str, typer.Option(help="The completion to promote.")],
    layer: Annotated[list[int], typer.Option(help="A layer; repeatable. All without.")] = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="How many random starts a layer.")] = 4,
    steps: Annotated[int, typer.Option(help="How many updates.")] = 20,
    learning_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 0.5,
    max_norm: Annotated[float, typer.Option(help="Keep the norm at most this.")] = 25.0,
    out: Annotated[
        Path, typer.Option(help="The run's folder; one that was begun is gone on with.")
    ] = Path("out/sweep"),
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Make a vector at every layer, see what each does and costs; killed, it goes on."""
    from workbench.experiments.sweep import SweepSettings, run_sweep
    from workbench.models import load_model

    with errors_in_words():
        settings = SweepSettings(
            promote,
            layer or None,
            tuple(range(seeds)),
            steps=steps,
            learning_rate=learning_rate,
            max_norm=max_norm,
        )
        result = run_sweep(load_model(model, dtype=dtype), question, settings, out)
    typer.echo(result.sweep.by_layer().round(3).to_string(index=False))
    typer.echo(f"The page: {result.page}")


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="poser, refusal, fictitious, emergent-misalignment, refusal-comparison, affine, "
            "conditional."
        ),
    ],
    scale: Annotated[str, typer.Option(help="embedded, or paper (the original models).")] = (
        "embedded"
    ),
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; one that was begun is gone on with.")
    ] = None,
    public: Annotated[
        list[str],
        typer.Option(help="A public set, NAME=PATH: harmbench, poser, poser-test; repeatable."),
    ] = [],  # noqa: B006
    full: Annotated[
        bool, typer.Option("--full", help="Also ask what the paper left open (within 90 minutes).")
    ] = False,
) -> None:
    """Run one of the paper's experiments; killed, it goes on where it was."""
    from workbench.experiments.registry import check_full, run_experiment, run_in_full
    from workbench.testbeds import load_public_set

    with errors_in_words():
        if full:
            check_full(name, scale)  # before hours of the experiment
        paths = dict(name_and_path(each) for each in public)
        sets = {
            part: load_public_set(part.removesuffix("-test"), path) for part, path in paths.items()
        }
        typer.echo(f"The page: {run_experiment(name, scale, out, sets)}")
        if full:
            typer.echo(f"Asked in full: {run_in_full(name, scale, out, sets)}")


def report(
    vectors: Annotated[
        list[Path], typer.Argument(help="Vector files, or folders of them; several are joined.")
    ],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("out/report.html"),
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Also read the vectors through this model."),
    ] = None,
    dtype: DtypeOption = "float32",
) -> None:
    """Write a page about vectors: what they are, how they lie, what they promote."""
    from workbench.experiments.vectors_report import read_all, vectors_report
    from workbench.models import load_model

    with errors_in_words():
        held = read_all(vectors)
        hooked = None if model is None else load_model(model, dtype=dtype)
        typer.echo(f"The page: {vectors_report(held, hooked).save(out)}")


def compare(
    task: Annotated[
        str,
        typer.Argument(
            help="refusal (the testbed), arithmetic, feeling, or NAME=PATH of A/B questions (CAA)."
        ),
    ],
    method: Annotated[
        list[str], typer.Option(help="A method by name; repeatable. All without.")
    ] = [],  # noqa: B006
    layer: Annotated[list[int], typer.Option(help="A layer; repeatable.")] = [10, 14, 18],  # noqa: B006
    budget: Annotated[float, typer.Option(help="KL on harmless text, nats a token.")] = 0.1,
    random: Annotated[int, typer.Option(help="Random vectors for each method.")] = 20,
    seed: Annotated[int, typer.Option(help="Of starts, draws and splits.")] = 0,
    adapter: Annotated[
        Path | None, typer.Option(help="The refusal testbed's adapter, if not the shipped one.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Compare ways of making steering vectors on one task, at one budget."""
    from workbench.experiments.compare import CompareSettings
    from workbench.experiments.compare.run import run_compare

    with errors_in_words():
        settings = CompareSettings(tuple(layer), budget=budget, random=random, seed=seed)
        page = run_compare(
            task, settings, method, out=out, model=model, dtype=dtype, adapter=adapter
        )
        typer.echo(f"The page: {page}")


def slopes(
    questions: Annotated[
        list[str], typer.Argument(help="NAME=PATH of public A/B questions (CAA); several.")
    ],
    layer: Annotated[list[int], typer.Option(help="A layer; repeatable.")] = [  # noqa: B006
        8,
        10,
        12,
        14,
        16,
        18,
    ],
    random: Annotated[int, typer.Option(help="Random vectors of equal norm.")] = 10,
    items: Annotated[int, typer.Option(help="Held-out questions a behaviour.")] = 50,
    seed: Annotated[int, typer.Option(help="Of draws and splits.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Measure how CAA moves answers with its scale, by letter and by the answer's text."""
    from workbench.experiments.compare import SlopeSettings
    from workbench.experiments.compare.slopes_page import run_slopes

    with errors_in_words():
        settings = SlopeSettings(tuple(layer), random=random, measured_on=items, seed=seed)
        named = dict(name_and_path(each) for each in questions)
        typer.echo(f"The page: {run_slopes(named, settings, out=out, model=model, dtype=dtype)}")
