"""Commands that make vectors and apply them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.cli.common import DEFAULT_MODEL, DtypeOption, ModelOption, errors_in_words


def models() -> None:
    """List the models that are known by a short name."""
    from workbench.models import known_models

    typer.echo(known_models().to_string(index=False))


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

    with errors_in_words():
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

    with errors_in_words():
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
