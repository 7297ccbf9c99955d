"""The paper's experiments by name: load what each needs, run it in a folder, write its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.experiments.emergent import (
    MisalignmentSettings,
    SpreadSettings,
    run_misalignment,
    run_spread,
)
from workbench.experiments.emergent.full import full_spread
from workbench.experiments.emergent.page import misalignment_page, spread_page
from workbench.experiments.fictitious import Claims, FictitiousSettings, run_fictitious
from workbench.experiments.fictitious.full import full_fictitious
from workbench.experiments.fictitious.page import page as fictitious_page
from workbench.experiments.full import FullSettings, FullTask, run_full
from workbench.experiments.full.page import page as full_page
from workbench.experiments.identity import contents_of, revisions
from workbench.experiments.poser import PoserSettings, Scenarios, run_poser
from workbench.experiments.poser.full import full_poser
from workbench.experiments.poser.page import page as poser_page
from workbench.experiments.questions import VALIDATION
from workbench.experiments.refusal import (
    AffineSettings,
    ComparisonSettings,
    ConditionalSettings,
    RefusalSettings,
    Requests,
    run_affine,
    run_comparison,
    run_conditional,
    run_refusal,
)
from workbench.experiments.refusal.affine_page import affine_page
from workbench.experiments.refusal.comparison_page import comparison_page
from workbench.experiments.refusal.conditional_page import conditional_page
from workbench.experiments.refusal.full import full_refusal
from workbench.experiments.refusal.page import page as refusal_page
from workbench.experiments.settings import Scale, read_scale
from workbench.figures import Report
from workbench.files import written_whole
from workbench.models import load_model
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.testbeds import load_testbed

Public = Mapping[str, pd.DataFrame]
TaskMaker = Callable[[Any, Any, FullSettings, Sequence[str], bool], FullTask]


@dataclass(frozen=True)
class Experiment:
    """How an experiment is put together, step by step.

    `settings` gives their dataclass at a scale; `subject` loads what is asked; `report` runs it
    and makes its page; `task` makes what `--full` asks about, where it asks.
    """

    settings: Callable[[Scale], Callable[..., Any]]
    subject: Callable[[Scale, Public], Any]
    report: Callable[[Any, Any, RunFolder, Scale, bool], Report]
    task: TaskMaker | None = None


def run_experiment(
    name: str,
    scale: str = "embedded",
    out: str | Path | None = None,
    public: Public | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Run an experiment of the paper, or go on with it; returns the path of its page.

    `out` is the run's folder (`out/experiments/NAME-SCALE`); what is finished there is not done
    again. `public` are frames of `load_public_set` by name, where the experiment wants them.
    `changes` take the place of settings.

    Raises ValueError for an unknown name or scale, for a set that is missing, and for a folder with
    a run of other settings.
    """
    experiment, read = _known(name), read_scale(name, scale)
    settings: Any = read.of(experiment.settings(read), **(changes or {}))
    subject = experiment.subject(read, public or {})
    path = _path(out, name, scale)
    record = _record(read, settings, subject, public or {})
    with RunFolder(path, record) as folder:
        page = experiment.report(subject, settings, folder, read, progress)
        _say_what_was_asked(page, record)
        return page.save(path / "report.html")


def run_in_full(
    name: str,
    scale: str = "embedded",
    out: str | Path | None = None,
    public: Public | None = None,
    changes: Mapping[str, Any] | None = None,
    full: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Ask what the paper left open of an experiment's vectors; returns the path of its page.

    See `workbench.experiments.full`. The run's folder is `full` in that of `run_experiment`, whose
    settings train the vectors; `full` takes the place of some of `FullSettings`. Raises ValueError
    as `run_experiment` does, and for an experiment that is not asked in full at that scale.
    `vectors.csv` beside the page has a row a vector.
    """
    make, read = check_full(name, scale)
    experiment = _known(name)
    settings: Any = read.of(experiment.settings(read), **(changes or {}))
    asked = FullSettings(**{**read.full, **(full or {})})
    path = _path(out, name, scale) / "full"
    subject = experiment.subject(read, public or {})
    task = make(subject, settings, asked, VALIDATION[: asked.harmless], progress)
    record = {**_record(read, settings, subject, public or {}), "full": asdict(asked)}
    with RunFolder(path, record) as folder:
        result = run_full(task, asked, folder, progress)
        with written_whole(path / "vectors.csv") as part:
            result.to_frame().round(4).to_csv(part, index=False)
        page = full_page(result, task, read, name)
        _say_what_was_asked(page, record)
        return page.save(path / "report.html")


def check_full(name: str, scale: str) -> tuple[TaskMaker, Scale]:
    """What makes the task that `--full` asks about, and the scale. Raises ValueError for none."""
    experiment, read = _known(name), read_scale(name, scale)
    if not read.full or experiment.task is None:
        raise ValueError(f"{name} cannot be asked in full at the {scale} scale")
    return experiment.task, read


def _poser(scale: Scale, public: Public) -> Scenarios:
    if scale.name == "embedded":
        return Scenarios.of_testbed(load_testbed(scale.models["decides"], scale.dtype))
    train, test = (_wanted(public, each) for each in ("poser", "poser-test"))
    return Scenarios.of_poser(_model(scale, "decides"), train, test)


def _refusal(scale: Scale, public: Public) -> Requests:
    if scale.name == "embedded":
        bed = load_testbed(scale.models["refuses"], scale.dtype)
        if "harmbench" not in public:
            return Requests.of_testbed(bed)
        return Requests.of_testbed(bed, list(public["harmbench"]["request"]), "HarmBench")
    wanted = list(_wanted(public, "harmbench")["request"])
    model, parent = (_model(scale, role) for role in ("refuses", "parent"))
    return Requests.of_models(model, parent, wanted, "HarmBench")


def _fictitious(scale: Scale, public: Public) -> Claims:
    if scale.name == "embedded":
        return Claims.of_testbed(load_testbed(scale.models["retracts"], scale.dtype))
    return Claims.of_models(_model(scale, "retracts"), _model(scale, "parent"))


def _poser_report(
    subject: Scenarios, settings: PoserSettings, folder: RunFolder, scale: Scale, progress: bool
) -> Report:
    return poser_page(run_poser(subject, settings, folder, progress), scale)


def _refusal_report(
    subject: Requests, settings: RefusalSettings, folder: RunFolder, scale: Scale, progress: bool
) -> Report:
    return refusal_page(run_refusal(subject, settings, folder, progress), scale)


def _comparison(scale: Scale) -> Callable[..., ComparisonSettings]:
    """Its settings hold those of the refusal experiment at the same scale."""
    vectors = read_scale("refusal", scale.name).of(RefusalSettings)
    return partial(ComparisonSettings, one_shot=vectors)


def _comparison_report(
    subject: Requests,
    settings: ComparisonSettings,
    folder: RunFolder,
    scale: Scale,
    progress: bool,
) -> Report:
    return comparison_page(run_comparison(subject, settings, folder, progress), scale)


def _affine_report(
    subject: Requests, settings: AffineSettings, folder: RunFolder, scale: Scale, progress: bool
) -> Report:
    return affine_page(run_affine(subject, settings, folder, progress), scale)


def _conditional_report(
    subject: Requests,
    settings: ConditionalSettings,
    folder: RunFolder,
    scale: Scale,
    progress: bool,
) -> Report:
    return conditional_page(run_conditional(subject, settings, folder, progress), scale)


def _fictitious_report(
    subject: Claims, settings: FictitiousSettings, folder: RunFolder, scale: Scale, progress: bool
) -> Report:
    return fictitious_page(run_fictitious(subject, settings, folder, progress), scale)


def _emergent_report(
    model: HookedModel,
    settings: SpreadSettings | MisalignmentSettings,
    folder: RunFolder,
    scale: Scale,
    progress: bool,
) -> Report:
    if isinstance(settings, SpreadSettings):
        return spread_page(run_spread(model, settings, folder, progress=progress), scale)
    return misalignment_page(run_misalignment(model, settings, folder, progress=progress), scale)


EXPERIMENTS: dict[str, Experiment] = {
    "poser": Experiment(lambda scale: PoserSettings, _poser, _poser_report, full_poser),
    "refusal": Experiment(lambda scale: RefusalSettings, _refusal, _refusal_report, full_refusal),
    "refusal-comparison": Experiment(_comparison, _refusal, _comparison_report),
    "affine": Experiment(lambda scale: AffineSettings, _refusal, _affine_report),
    "conditional": Experiment(lambda scale: ConditionalSettings, _refusal, _conditional_report),
    "fictitious": Experiment(
        lambda scale: FictitiousSettings, _fictitious, _fictitious_report, full_fictitious
    ),
    "emergent-misalignment": Experiment(
        lambda scale: SpreadSettings if scale.name == "embedded" else MisalignmentSettings,
        lambda scale, public: _model(scale, "answers"),
        _emergent_report,
        full_spread,
    ),
}


def _known(name: str) -> Experiment:
    if name not in EXPERIMENTS:
        raise ValueError(
            f"there is no experiment {name!r}; known: {', '.join(sorted(EXPERIMENTS))}"
        )
    return EXPERIMENTS[name]


def _model(scale: Scale, role: str) -> HookedModel:
    return load_model(scale.models[role], dtype=scale.dtype)


def _path(out: str | Path | None, name: str, scale: str) -> Path:
    return Path(out or Path("out") / "experiments" / f"{name}-{scale}")


def _record(scale: Scale, settings: Any, subject: Any, public: Public) -> dict[str, Any]:
    """What a run's folder stands for: also what the public sets hold, and the models' revisions."""
    return {
        "revisions": revisions(subject),
        "public": contents_of(public),
        "scale": scale.name,
        "models": dict(scale.models),
        "dtype": scale.dtype,
        "settings": asdict(settings),
    }


def _say_what_was_asked(page: Report, record: Mapping[str, Any]) -> None:
    page.details("Public sets and models", {key: record[key] for key in ("public", "revisions")})


def _wanted(public: Public, name: str) -> pd.DataFrame:
    if name not in public:
        raise ValueError(f"this experiment needs the public set {name}: give --public {name}=PATH")
    return public[name]
