"""The `workbench` command: parse, call, print. Everything it does is in the rooms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Make, apply, measure and look at steering vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A known name, a hub id, or a local folder.")
]
DtypeOption = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
DEFAULT_MODEL = "smollm2-135m-instruct"


@contextmanager
def _errors_in_words() -> Iterator[None]:
    """Turn the errors that name what was wrong into one line and exit status 1."""
    try:
        yield
    except (ValueError, OSError, IndexError, KeyError, RuntimeError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error


def _name_and_path(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise ValueError(f"a public set is given as NAME=PATH, not {text!r}")
    return name, path


@app.command()
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

    with _errors_in_words():
        typer.echo(f"Loading {model}.")
        result = run_demo(load_model(model))
        page = write_demo(result, out)
    typer.echo(f"\nVector: {result.run.vector!r}\nTrained on: {result.settings.training[0]}\n")
    typer.echo(result.table().to_string(index=False))
    typer.echo(f"\n{result.surprisal_sentence()}\n\nThe page: {page}")


@app.command()
def gallery(
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("out/gallery"),
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Make every figure on one model, on a single page (a few minutes)."""
    from workbench.experiments.gallery import write_gallery
    from workbench.models import load_model

    with _errors_in_words():
        typer.echo(f"The page: {write_gallery(load_model(model), out)}")


@app.command()
def models() -> None:
    """List the models that are known by a short name."""
    from workbench.models import known_models

    typer.echo(known_models().to_string(index=False))


@app.command()
def optimize(
    prompt: Annotated[str, typer.Argument(help="What the user asks.")],
    promote: Annotated[list[str], typer.Option(help="A completion to promote; repeatable.")] = [],  # noqa: B006
    suppress: Annotated[list[str], typer.Option(help="A completion to suppress; repeatable.")] = [],  # noqa: B006
    layer: Annotated[int, typer.Option(help="The layer whose input is edited.")] = 10,
    steps: Annotated[int, typer.Option(help="How many updates.")] = 50,
    learning_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 0.1,
    optimizer: Annotated[Literal["adam", "lbfgs"], typer.Option(help="How to descend.")] = "adam",
    target_loss: Annotated[float | None, typer.Option(help="Stop at this loss, in nats.")] = None,
    max_norm: Annotated[float | None, typer.Option(help="Keep the norm at most this.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the random start.")] = 0,
    raw: Annotated[
        bool, typer.Option(help="Take the prompt as it is, without chat format.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where the vector goes.")] = Path("vector.safetensors"),
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Optimize a steering vector on one example and save it."""
    from workbench.methods import Example
    from workbench.methods import optimize as run_optimize
    from workbench.models import chat, load_model

    with _errors_in_words():
        hooked = load_model(model, dtype=dtype)
        example = Example(prompt if raw else chat(hooked, prompt), promote, suppress)
        run = run_optimize(
            hooked,
            example,
            layer,
            steps=steps,
            learning_rate=learning_rate,
            optimizer=optimizer,
            target_loss=target_loss,
            max_norm=max_norm,
            seed=seed,
        )
        run.vector.save(out)
    typer.echo(f"{run!r}\nSaved to {out}")


@app.command()
def generate(
    prompts: Annotated[list[str], typer.Argument(help="What the user asks; several are answered.")],
    vector: Annotated[Path | None, typer.Option(help="A vector file to steer with.")] = None,
    scale: Annotated[float, typer.Option(help="How much of the vector is added.")] = 1.0,
    clamp: Annotated[
        float | None, typer.Option(help="Clamp the component to this many norms instead.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="How long answers may be.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Decides the sampling.")] = None,
    raw: Annotated[
        bool, typer.Option(help="Take prompts as they are, without chat format.")
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Answer prompts, unsteered and, with a vector, steered."""
    from workbench.models import chat, load_model
    from workbench.steering import Add, Clamp, SteeringVector
    from workbench.steering import generate as run_generate

    with _errors_in_words():
        hooked = load_model(model, dtype=dtype)
        texts = [prompt if raw else chat(hooked, prompt) for prompt in prompts]
        ways: dict[str, list] = {"unsteered": []}
        if vector is not None:
            v = SteeringVector.load(vector)
            ways["steered"] = [Add(v, scale) if clamp is None else Clamp(v, clamp)]
        answers = {
            name: run_generate(
                hooked, texts, steering, max_new_tokens, temperature=temperature, seed=seed
            )
            for name, steering in ways.items()
        }
    for i, prompt in enumerate(prompts):
        typer.secho(f"\n{prompt}", bold=True)
        for name, made in answers.items():
            typer.echo(f"  {name}: {made[i]}")


@app.command()
def sweep(
    question: Annotated[str, typer.Argument(help="What the user asks.")],
    promote: Annotated[str, typer.Option(help="The completion to promote.")],
    layer: Annotated[list[int], typer.Option(help="A layer; repeatable. All without.")] = [],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="How many random starts a layer.")] = 4,
    steps: Annotated[int, typer.Option(help="How many updates.")] = 20,
    learning_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 0.5,
    max_norm: Annotated[float, typer.Option(help="Keep the norm at most this.")] = 25.0,
    out: Annotated[Path, typer.Option(help="Where the page and the vectors go.")] = Path(
        "out/sweep"
    ),
    model: ModelOption = DEFAULT_MODEL,
    dtype: DtypeOption = "float32",
) -> None:
    """Make a vector at every layer, and see what each does and costs."""
    from workbench.experiments.sweep import SweepSettings, run_sweep, write_sweep
    from workbench.models import load_model

    with _errors_in_words():
        settings = SweepSettings(
            promote,
            layer or None,
            tuple(range(seeds)),
            steps=steps,
            learning_rate=learning_rate,
            max_norm=max_norm,
        )
        result = run_sweep(load_model(model, dtype=dtype), question, settings)
        page = write_sweep(result, out)
    typer.echo(result.sweep.by_layer().round(3).to_string(index=False))
    typer.echo(f"The page: {page}")


@app.command()
def experiment(
    name: Annotated[
        str, typer.Argument(help="poser, refusal, fictitious or emergent-misalignment.")
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
    from workbench.experiments.registry import run_experiment, run_full
    from workbench.testbeds import load_public_set

    with _errors_in_words():
        paths = dict(_name_and_path(each) for each in public)
        sets = {
            part: load_public_set(part.removesuffix("-test"), path) for part, path in paths.items()
        }
        typer.echo(f"The page: {run_experiment(name, scale, out, sets)}")
        if full:
            typer.echo(f"The full study: {run_full(name, scale, out, sets)}")


testbeds = typer.Typer(
    help="Small models with known behaviours: refusal, alignment-faking, retraction.",
    no_args_is_help=True,
)
app.add_typer(testbeds, name="testbed")
TestbedName = Annotated[str, typer.Argument(help="refusal, alignment-faking or retraction.")]
AdapterOption = Annotated[
    Path | None, typer.Option(help="An adapter's folder; without it the one that is shipped.")
]


@testbeds.command()
def train(
    name: TestbedName,
    seed: Annotated[int, typer.Option(help="Decides the pairs, their order and the start.")] = 0,
    share: Annotated[float, typer.Option(help="Of the pairs; less than 1 is a smoke test.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="The adapter's folder.")] = None,
) -> None:
    """Train an adapter anew (needs peft; up to 45 minutes on two cores)."""
    from workbench.testbeds.adapter import adapter_hash
    from workbench.testbeds.behaviours import train as run_train
    from workbench.testbeds.card import Card
    from workbench.testbeds.testbed import behaviour_named

    with _errors_in_words():
        folder = out or Path("out/testbeds") / f"{name}-{seed}"
        adapter = run_train(behaviour_named(name), seed, share)
        adapter.save(folder)
        Card.of(name, adapter, adapter_hash(folder)).write(folder)
    typer.echo(
        f"Saved to {folder}; measure it: workbench testbed measure {name} --adapter {folder}"
    )


@testbeds.command()
def measure(
    name: TestbedName,
    adapter: AdapterOption = None,
    public: Annotated[
        list[str],
        typer.Option(help="A public set, NAME=PATH: harmbench, self-instruct, poser; repeatable."),
    ] = [],  # noqa: B006
) -> None:
    """Measure an adapter on data its training never saw, and write that into its card."""
    from workbench.testbeds import load_public_set, load_testbed
    from workbench.testbeds.quality import measured_card

    with _errors_in_words():
        paths = dict(_name_and_path(each) for each in public)
        sets = {known: load_public_set(known, path) for known, path in paths.items()}
        card = measured_card(load_testbed(name, adapter=adapter), sets)
        if adapter is not None:
            card.write(adapter)
    typer.echo(card.text())


@testbeds.command()
def card(name: TestbedName, adapter: AdapterOption = None) -> None:
    """Print a testbed's card: what it is, how it was made, and what was measured."""
    from workbench.testbeds.testbed import card_of

    with _errors_in_words():
        typer.echo(card_of(name, adapter).text())
