"""Commands about vectors in files, of this workbench and of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.common import errors_in_words

vectors = typer.Typer(help="Look at vector files, and turn one format into another.")
PathArgument = Annotated[Path, typer.Argument(help="A vector file, or a folder of them.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        help="safetensors, gguf, repeng, easysteer, pt or layers.pt; else by the file's name."
    ),
]


@vectors.command("list")
def list_vectors(
    paths: Annotated[list[Path], typer.Argument(help="Vector files, or folders of them.")],
) -> None:
    """One line a vector: label, layer, width, norm, method, model."""
    from workbench.experiments.vectors_report import read_all

    with errors_in_words():
        frame = read_all(paths).to_frame()
    typer.echo(frame.to_string(index=False))


@vectors.command()
def show(path: PathArgument, format: FormatOption = None) -> None:
    """Everything that a file says of its vectors: provenance, configuration, examples."""
    import json

    from workbench.steering.formats import read_vectors

    with errors_in_words():
        held = read_vectors(path, format)
    for vector in held:
        typer.secho(repr(vector), bold=True)
        record = json.loads(vector.provenance.to_json())
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))


@vectors.command()
def convert(
    path: PathArgument,
    out: Annotated[Path, typer.Argument(help="Where the vectors go; its name says the format.")],
    format: FormatOption = None,
) -> None:
    """Write the vectors of a file in another format, and say what that format cannot carry."""
    from workbench.steering.formats import format_named, read_vectors, write_vectors

    with errors_in_words():
        held = read_vectors(path)
        write_vectors(held, out, format)
        lost = format_named(out, format).loses
    typer.echo(f"{len(held)} vector{'s' if len(held) > 1 else ''} to {out}. {lost}")
