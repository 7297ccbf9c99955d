"""The `workbench` command: parse, call, print. Everything it does is in the rooms."""

from __future__ import annotations

import typer

from workbench.cli import steering, studies
from workbench.cli.declared import study
from workbench.cli.testbeds import testbeds
from workbench.cli.vectors import vectors


def doctor() -> None:
    """Say what is installed, what is missing, and whether steering works here."""
    from workbench.experiments.doctor import examine, to_frame

    checks = examine()
    typer.echo(to_frame(checks).to_string(index=False))
    if any(check.state == "wrong" for check in checks):
        raise typer.Exit(1)


app = typer.Typer(
    help="Make, apply, measure and look at steering vectors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for _command in (
    studies.demo,
    studies.gallery,
    steering.models,
    steering.optimize,
    steering.generate,
    studies.sweep,
    studies.report,
    studies.experiment,
    studies.compare,
    studies.slopes,
    doctor,
):
    app.command()(_command)
app.add_typer(study, name="study")
app.add_typer(testbeds, name="testbed")
app.add_typer(vectors, name="vectors")
