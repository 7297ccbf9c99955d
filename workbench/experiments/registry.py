"""The paper's experiments by name: load what each needs, run it in a folder, write its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.experiments.emergent import (
    MisalignmentSettings,
    SpreadSettings,
    run_misalignment,
    run_spread,
)
from workbench.experiments.emergent.page import misalignment_page, spread_page
from workbench.experiments.fictitious import Claims, FictitiousSettings, run_fictitious
from workbench.experiments.fictitious.page import page as fictitious_page
from workbench.experiments.poser import PoserSettings, Scenarios, run_poser
from workbench.experiments.poser.page import page as poser_page
from workbench.experiments.refusal import RefusalSettings, Requests, run_refusal
from workbench.experiments.refusal.page import page as refusal_page
from workbench.experiments.settings import Scale, read_scale
from workbench.figures import Report
from workbench.models import load_model
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.testbeds import load_testbed

Public = Mapping[str, pd.DataFrame]


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
    if name not in EXPERIMENTS:
        raise ValueError(
            f"there is no experiment {name!r}; known: {', '.join(sorted(EXPERIMENTS))}"
        )
    read = read_scale(name, scale)
    folder = Path(out or Path("out") / "experiments" / f"{name}-{scale}")
    report = EXPERIMENTS[name](read, folder, public or {}, changes or {}, progress)
    return report.save(folder / "report.html")


def _poser(
    scale: Scale, path: Path, public: Public, changes: Mapping[str, Any], progress: bool
) -> Report:
    settings = scale.of(PoserSettings, **changes)
    if scale.name == "embedded":
        scenarios = Scenarios.of_testbed(load_testbed(scale.models["decides"]))
    else:
        train, test = (_wanted(public, each) for each in ("poser", "poser-test"))
        scenarios = Scenarios.of_poser(_model(scale, "decides"), train, test)
    folder = _folder(path, scale, settings)
    return poser_page(run_poser(scenarios, settings, folder, progress), scale)


def _refusal(
    scale: Scale, path: Path, public: Public, changes: Mapping[str, Any], progress: bool
) -> Report:
    settings = scale.of(RefusalSettings, **changes)
    harmful = list(public["harmbench"]["request"]) if "harmbench" in public else None
    if scale.name == "embedded":
        requests = Requests.of_testbed(load_testbed(scale.models["refuses"]), harmful)
    else:
        wanted = list(_wanted(public, "harmbench")["request"])
        requests = Requests.of_models(_model(scale, "refuses"), _model(scale, "parent"), wanted)
    folder = _folder(path, scale, settings)
    return refusal_page(run_refusal(requests, settings, folder, progress), scale)


def _fictitious(
    scale: Scale, path: Path, public: Public, changes: Mapping[str, Any], progress: bool
) -> Report:
    settings = scale.of(FictitiousSettings, **changes)
    if scale.name == "embedded":
        claims = Claims.of_testbed(load_testbed(scale.models["retracts"]))
    else:
        claims = Claims.of_models(_model(scale, "retracts"), _model(scale, "parent"))
    folder = _folder(path, scale, settings)
    return fictitious_page(run_fictitious(claims, settings, folder, progress), scale)


def _emergent(
    scale: Scale, path: Path, public: Public, changes: Mapping[str, Any], progress: bool
) -> Report:
    model = _model(scale, "answers")
    if scale.name == "embedded":
        small = scale.of(SpreadSettings, **changes)
        spread = run_spread(model, small, _folder(path, scale, small), progress=progress)
        return spread_page(spread, scale)
    settings = scale.of(MisalignmentSettings, **changes)
    found = run_misalignment(model, settings, _folder(path, scale, settings), progress=progress)
    return misalignment_page(found, scale)


EXPERIMENTS: dict[str, Callable[[Scale, Path, Public, Mapping[str, Any], bool], Report]] = {
    "poser": _poser,
    "refusal": _refusal,
    "fictitious": _fictitious,
    "emergent-misalignment": _emergent,
}


def _model(scale: Scale, role: str) -> HookedModel:
    """A model of the scale: the paper's in bfloat16, as there."""
    return load_model(
        scale.models[role], dtype="float32" if scale.name == "embedded" else "bfloat16"
    )


def _folder(path: Path, scale: Scale, settings: Any) -> RunFolder:
    return RunFolder(
        path, {"scale": scale.name, "models": dict(scale.models), "settings": asdict(settings)}
    )


def _wanted(public: Public, name: str) -> pd.DataFrame:
    if name not in public:
        raise ValueError(f"this experiment needs the public set {name}: give --public {name}=PATH")
    return public[name]
