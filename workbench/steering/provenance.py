"""Where a vector comes from: everything needed to make it again, as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from workbench.models.hooked import HookedModel
from workbench.models.identity import ModelRecord, record_of

LIBRARIES = ("steering-workbench", "transformer-lens", "transformers", "torch")


@dataclass(frozen=True)
class Provenance:
    """How a vector was made, on which model, by which versions, and when.

    `config` holds the method's whole configuration; `examples` the texts; `results` what came of
    it (losses, step, norm). All three are plain JSON values.
    """

    method: str
    model: ModelRecord | None = None
    hook: str = "resid_pre"
    positions: str = "all"
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[Mapping[str, Any], ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""

    @classmethod
    def of(cls, method: str, model: HookedModel | None = None, **fields: Any) -> Provenance:
        """A record stamped with the model, the library versions and the time."""
        return cls(
            method=method,
            model=None if model is None else record_of(model),
            versions=library_versions(),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **fields,
        )

    def derived(self, method: str, **config: Any) -> Provenance:
        """The record of something made from this by `method`; the old record is kept within."""
        origin = {"method": self.method, "config": dict(self.config)}
        return replace(self, method=method, config={**config, "from": origin})

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Read back what `to_json` wrote. Raises ValueError for anything else."""
        data = json.loads(text)
        try:
            _check_kinds(data)
            model = data.pop("model")
            record = None if model is None else ModelRecord(**model)
            return cls(model=record, examples=tuple(data.pop("examples")), **data)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is no provenance record of ours: {error}") from error


def _check_kinds(data: Mapping[str, Any]) -> None:
    """Raise TypeError for fields that are not what they should be: they are used much later."""
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("method", "hook", "positions", "created"), str),
        **dict.fromkeys(("config", "results", "versions"), dict),
        "model": (dict, type(None)),
        "seed": (int, type(None)),
        "examples": list,
    }
    for name, kind in kinds.items():
        if name in data and not isinstance(data[name], kind):
            raise TypeError(f"{name} is {type(data[name]).__name__}")
    if not all(isinstance(one, dict) for one in data["examples"]):
        raise TypeError("an example is no dict")


@cache
def library_versions() -> dict[str, str]:
    """The versions of the libraries that decide a vector's numbers."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a source checkout that was never installed
            found[name] = "unknown"
    return found
