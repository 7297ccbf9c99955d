"""A study declared as data: a grid of methods, examples, layers and seeds, and what is measured.

In TOML (`read_study`) or in Python (`Study`), with the same names:

    name = "which-layer"
    layers = [8, 10, 12]
    seeds = [0, 1, 2]
    scales = [0.5, 1.0]

    [model]
    name = "smollm2-135m-instruct"

    [methods.adam]
    maker = "one-shot"
    learning_rate = 0.5
    max_norm = 25.0

    [examples.plants]
    prompt = "How do plants make food?"
    promote = ["I'm sorry for any confusion, but"]

    [measures.held-out]
    measure = "log-prob"
    prompts_file = "questions.txt"

Every key that ends in `_file` names a text file beside the declaration; its lines take its place.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import tomli_w

from workbench.runs.job import StudyJob, canonical, listed
from workbench.runs.makers import MAKERS
from workbench.runs.measures import ACTS, check_measure

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MODEL = {"dtype": "float32", "revision": None, "compatibility_mode": False}
_TABLES = ("model", "methods", "examples", "measures", "loading")
_FILE = "_file"


@dataclass(frozen=True)
class Study:
    """A declared study; `jobs` are its jobs.

    Attributes:
        name: also of its folder, where no other is given.
        model: name, dtype, revision, compatibility_mode, as `load_model` takes them.
        methods: settings by name; `maker` says what makes the vectors (makers.py).
        examples: by name a table, or a list of them that are trained on together. A method is
            tried on every example that has what it needs.
        layers, seeds: every combination is a job; methods without chance take the first seed.
        measures: by name (measures.py), under every vector at each of the `scales`.
        act: how vectors act when they are measured: "add", "clamp" (to the scale; 0 ablates).
        chat: whether all prompts are put in the model's chat format, or read as they are.
        loading: what else `load_model` takes (device, device_map, n_devices). No part of a job.
        pack: how many jobs of a layer are optimized together. No part of a job.
        token_budget: see `optimize_batch`. No part of a job.

    Raises ValueError for what is missing, unknown or does not fit together.
    """

    name: str
    model: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, Any]]
    examples: Mapping[str, Any]
    layers: Sequence[int]
    seeds: Sequence[int] = (0,)
    scales: Sequence[int | float] = (1.0,)
    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    act: str = "add"
    chat: bool = True
    loading: Mapping[str, Any] = field(default_factory=dict)
    pack: int = 16
    token_budget: int | None = None

    def __post_init__(self) -> None:
        _check_shapes({each.name: getattr(self, each.name) for each in fields(self)})
        for name in _TABLES:
            object.__setattr__(self, name, listed(getattr(self, name)))
        if not isinstance(self.model.get("name"), str):
            raise ValueError("[model] needs a name: a known one, a hub id, or a local folder")
        _refuse_unknown(self.model, ("name", *_MODEL), "[model]")
        if not self.methods or not self.examples:
            raise ValueError("a study needs at least one method and one example")
        if self.act not in ACTS:
            raise ValueError(f"act must be one of {', '.join(ACTS)}, got {self.act!r}")
        if self.pack < 1:
            raise ValueError(f"pack must be 1 or more, got {self.pack}")
        canonical(self.to_dict())  # plain data only
        self._check_jobs()

    @cached_property
    def jobs(self) -> tuple[StudyJob, ...]:
        """Every job once, by method, example, layer and seed."""
        made = []
        for method, given in self.methods.items():
            settings = {"maker": "one-shot", **given}
            maker = MAKERS[settings["maker"]]
            seeds = self.seeds if maker.seeded else self.seeds[:1]
            for example, texts in self._texts().items():
                if not maker.fits(texts):
                    continue
                made += [
                    StudyJob(
                        model={**_MODEL, **self.model},
                        chat=self.chat,
                        method=method,
                        settings=settings,
                        example=example,
                        texts=texts,
                        layer=layer,
                        seed=seed,
                        act=self.act,
                        scales=tuple(map(float, self.scales)),
                        measures=self.measures,
                    )
                    for layer, seed in product(self.layers, seeds)
                ]
        return tuple(made)

    def packs(self) -> list[tuple[StudyJob, ...]]:
        """The jobs that are done together: of one layer and maker, at most `pack` of them."""
        groups: dict[tuple[int, str], list[StudyJob]] = {}
        for job in self.jobs:
            groups.setdefault((job.layer, job.maker), []).append(job)
        return [
            tuple(some[start : start + self.pack])
            for _, some in sorted(groups.items())
            for start in range(0, len(some), self.pack)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back; what is not set is left out."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: listed(value) for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Study:
        """A study of plain data. Raises ValueError as the class does."""
        known = {each.name for each in fields(cls)}
        _refuse_unknown(data, tuple(sorted(known)), "a study")
        missing = [
            name for name in ("name", "model", "methods", "examples", "layers") if name not in data
        ]
        if missing:
            raise ValueError(f"the study has no {' and no '.join(missing)}")
        _check_shapes(data)
        return cls(**data)

    def to_toml(self) -> str:
        """The declaration as TOML, whole: texts of files stand in it."""
        return tomli_w.dumps(self.to_dict())

    def _texts(self) -> dict[str, tuple[Mapping[str, Any], ...]]:
        """Each example's texts, whether it was given as one table or as several."""
        return {
            name: (given,) if isinstance(given, Mapping) else tuple(given)
            for name, given in self.examples.items()
        }

    def _check_jobs(self) -> None:
        """Every method on every example that fits it; each is made once without a model."""
        for name, given in self.methods.items():
            maker = given.get("maker", "one-shot")
            if maker not in MAKERS:
                raise ValueError(
                    f"[methods.{name}] maker must be one of {', '.join(MAKERS)}, got {maker!r}"
                )
            if not any(MAKERS[maker].fits(texts) for texts in self._texts().values()):
                needs = " or ".join(MAKERS[maker].needs)
                raise ValueError(f"[methods.{name}] no example has what it needs: {needs}")
        seen = set()
        for job in self.jobs:
            if (job.method, job.example) in seen:
                continue
            seen.add((job.method, job.example))
            where = f"[methods.{job.method}] on [examples.{job.example}]"
            try:
                MAKERS[job.maker].check(job)
            except (ValueError, TypeError, KeyError) as error:
                words = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                raise ValueError(
                    f"{where}: {words.replace('OneShotJob.__init__() ', '')}"
                ) from error
            for measure, asked in self.measures.items():
                try:
                    check_measure(measure, asked, job)
                except ValueError as error:
                    raise ValueError(f"[measures.{measure}] {error}") from error
        if len({job.id for job in self.jobs}) < len(self.jobs):
            raise ValueError("layers and seeds must name each only once")


def read_study(path: str | Path) -> Study:
    """Read a study from a TOML file.

    Raises FileNotFoundError, and ValueError that names the file for anything wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no study file at {path}")
    try:
        data = _with_files(tomllib.loads(path.read_text(encoding="utf-8")), path.parent)
        return Study.from_dict(data)
    except ValueError as error:  # also what tomllib raises, and bytes that are no UTF-8
        raise ValueError(f"{path}: {error}") from error


def _with_files(value: Any, folder: Path) -> Any:
    """The same with the lines of text files in the place of their names."""
    if isinstance(value, list):
        return [_with_files(each, folder) for each in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, held in value.items():
        if not name.endswith(_FILE):
            found[name] = _with_files(held, folder)
            continue
        if not isinstance(held, str) or not (folder / held).is_file():
            raise ValueError(f"{name} = {held!r}: there is no such file in {folder}")
        lines = (folder / held).read_text(encoding="utf-8").splitlines()
        found[name.removesuffix(_FILE)] = [line for line in lines if line.strip()]
    return found


def _check_shapes(data: Mapping[str, Any]) -> None:
    """Raise ValueError for tables that are none, lists that are none, and names of no folder."""
    for name in _TABLES:
        if not isinstance(data.get(name, {}), Mapping):
            raise ValueError(f"{name} must be a table")
    for name in ("methods", "examples", "measures"):
        for key, held in data.get(name, {}).items():
            several = held if name == "examples" and isinstance(held, (list, tuple)) else [held]
            if not several or not all(isinstance(each, Mapping) for each in several):
                raise ValueError(f"[{name}.{key}] must be a table")
    for name in ("layers", "seeds"):
        _check_numbers(name, data.get(name, [0]), int)
    _check_numbers("scales", data.get("scales", [1.0]), (int, float))
    name = data["name"]
    if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\"):
        raise ValueError(f"name must be a text that can name a folder, got {name!r}")


def _check_numbers(name: str, given: Any, kind: type | tuple[type, ...]) -> None:
    listed = isinstance(given, (list, tuple)) and len(given) > 0
    if not listed or not all(isinstance(n, kind) and not isinstance(n, bool) for n in given):
        raise ValueError(f"{name} must be a list of at least one number, got {given!r}")


def _refuse_unknown(data: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [name for name in data if name not in known]
    if unknown:
        raise ValueError(f"{where} has no {unknown[0]!r}: it knows {', '.join(known)}")
