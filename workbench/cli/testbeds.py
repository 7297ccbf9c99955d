"""Commands for testbeds: train, measure, read the card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import DtypeOption, errors_in_words, name_and_path

testbeds = typer.Typer(
    help="Small models with known behaviours: refusal, alignment-faking, retraction.",
    no_args_is_help=True,
)
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
    from workbench.models.adapter import adapter_hash
    from workbench.testbeds.behaviours import train as run_train
    from workbench.testbeds.card import Card
    from workbench.testbeds.testbed import behaviour_named

    with errors_in_words():
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
    dtype: DtypeOption = "float32",
) -> None:
    """Measure an adapter on data its training never saw, and write that into its card."""
    from workbench.testbeds import load_public_set, load_testbed
    from workbench.testbeds.quality import measured_card

    with errors_in_words():
        paths = dict(name_and_path(each) for each in public)
        sets = {known: load_public_set(known, path) for known, path in paths.items()}
        card = measured_card(load_testbed(name, dtype, adapter=adapter), sets)
        if adapter is not None:
            card.write(adapter)
    typer.echo(card.text())


@testbeds.command()
def card(name: TestbedName, adapter: AdapterOption = None) -> None:
    """Print a testbed's card: what it is, how it was made, and what was measured."""
    from workbench.testbeds.testbed import card_of

    with errors_in_words():
        typer.echo(card_of(name, adapter).text())
