"""Commands about studies that are declared in a file, and about folders of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.cli.common import errors_in_words

study = typer.Typer(help="Run a study declared in a TOML file; it survives being killed.")
FolderArgument = Annotated[
    Path, typer.Argument(help="The folder of a study, or of an experiment, a comparison, a sweep.")
]


@study.command()
def run(
    file: Annotated[Path, typer.Argument(help="The study's declaration.")],
    out: Annotated[
        Path | None, typer.Option(help="Its folder; one that was begun is gone on with.")
    ] = None,
    executor: Annotated[
        Literal["this", "processes", "ray"],
        typer.Option(help="This process, several of this machine, or a Ray cluster."),
    ] = "this",
    workers: Annotated[int, typer.Option(help="How many, for processes and ray.")] = 2,
    threads: Annotated[int | None, typer.Option(help="Cores for each; ray: 1 without.")] = None,
    address: Annotated[str, typer.Option(help="The Ray cluster, HOST:PORT.")] = "auto",
    gpus: Annotated[float, typer.Option(help="GPUs for each worker on ray.")] = 0.0,
) -> None:
    """Do the jobs that are not done yet; killed, it goes on where it was."""
    from workbench.experiments.study_report import study_report
    from workbench.runs import (
        Executor,
        Processes,
        RayCluster,
        StudyFolder,
        ThisProcess,
        read_study,
        run_study,
    )

    with errors_in_words():
        declared = read_study(file)
        folder = Path("out/studies") / declared.name if out is None else out
        chosen: Executor = ThisProcess(threads=threads)
        if executor == "processes":
            chosen = Processes(workers, threads)
        elif executor == "ray":
            chosen = RayCluster(workers, address, threads or 1, gpus)
        found = run_study(declared, folder, chosen)
        page = study_report(StudyFolder.at(folder)).save(folder / "report.html")
    typer.echo(f"{found.to_frame().to_string(index=False)}\n{found.sentence()}")
    for error in found.errors:
        typer.secho(f"failed: {error}", fg=typer.colors.RED, err=True)
    typer.echo(f"The page: {page}")
    if not found.complete:
        raise typer.Exit(1)


@study.command()
def status(folder: FolderArgument) -> None:
    """How far it is, also while it runs."""
    from workbench.runs import folder_at
    from workbench.runs import status as status_of

    with errors_in_words():
        found = status_of(folder_at(folder))
    typer.echo(f"{found.to_frame().to_string(index=False)}\n{found.sentence()}")


@study.command()
def report(folder: FolderArgument) -> None:
    """Write the tables and a page of what is done so far: report.html; steps.html of a program."""
    from workbench.experiments.run_report import run_report
    from workbench.experiments.study_report import study_report
    from workbench.runs import StudyFolder, folder_at
    from workbench.runs.tables import write_tables

    with errors_in_words():
        held = folder_at(folder)
        write_tables(held)
        if isinstance(held, StudyFolder):
            page = study_report(held).save(folder / "report.html")
        else:  # its report.html is its own
            page = run_report(held).save(folder / "steps.html")
        typer.echo(f"The page: {page}")


@study.command()
def show(
    folder: FolderArgument,
    job: Annotated[
        str | None, typer.Argument(help="A job's id, or how it begins; a program's step by name.")
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(help="A query of tables jobs and measures; of a program: steps, or a step's."),
    ] = None,
) -> None:
    """A study's means, or a program's steps; a job's record, or a step's table; or a query."""
    import json

    from workbench.runs import StudyFolder, folder_at
    from workbench.runs.tables import query, summary_frame

    with errors_in_words():
        held = folder_at(folder)
        if sql is not None:
            frame = query(held, sql)
        elif isinstance(held, StudyFolder):
            if job is not None:
                typer.echo(json.dumps(held.record(job), indent=2, ensure_ascii=False))
                return
            frame = summary_frame(held.records().values())
        else:
            frame = held.status().to_frame() if job is None else held.shown(job)
    typer.echo(frame.round(4).to_string(index=False))
