"""What commands share: options, and errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A known name, a hub id, or a local folder.")
]
DtypeOption = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
DEFAULT_MODEL = "smollm2-135m-instruct"


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn the errors that name what was wrong into one line and exit status 1."""
    try:
        yield
    except (ValueError, OSError, IndexError, KeyError, RuntimeError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error


def name_and_path(text: str) -> tuple[str, str]:
    """Split NAME=PATH. Raises ValueError for anything else."""
    name, _, path = text.partition("=")
    if not name or not path:
        raise ValueError(f"a public set is given as NAME=PATH, not {text!r}")
    return name, path
