"""One job of a study: its whole configuration, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

# Raised when the same configuration comes to mean something else: then old records do not count.
VERSION = 1


@dataclass(frozen=True)
class StudyJob:
    """One vector to make and measure, as plain data.

    Attributes:
        model: what `load_model` takes: name, dtype, revision, compatibility_mode.
        chat: whether every prompt is put in the model's chat format.
        method, settings: the method's name in the study, and its settings ("maker" among them).
        example, texts: the example's name, and the examples that are trained on together.
        layer, seed: of the vector.
        act, scales: how the vector acts when it is measured ("add", "clamp"), and how strongly.
        measures: what is measured, by name.
    """

    model: Mapping[str, Any]
    chat: bool
    method: str
    settings: Mapping[str, Any]
    example: str
    texts: Sequence[Mapping[str, Any]]
    layer: int
    seed: int
    act: str = "add"
    scales: Sequence[float] = (1.0,)
    measures: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def maker(self) -> str:
        """What makes the vector."""
        return str(self.settings["maker"])

    @property
    def label(self) -> str:
        """A name for people: unique within a study."""
        return f"{self.method}, {self.example}, layer {self.layer}, seed {self.seed}"

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, the same wherever the configuration is the same."""
        return digest({"version": VERSION, **asdict(self)})


def digest(value: Any) -> str:
    """A hash of plain data that does not depend on the order of keys, nor on 25 or 25.0."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """Plain data as one line of JSON, always the same. Raises ValueError for anything else."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def listed(value: Any) -> Any:
    """Plain data with lists for tuples, and without None: what TOML can hold.

    Raises ValueError for None in a list: it cannot be left out there.
    """
    if isinstance(value, Mapping):
        return {str(name): listed(held) for name, held in value.items() if held is not None}
    if not isinstance(value, (list, tuple)):
        return value
    if any(held is None for held in value):
        raise ValueError(f"{value!r}: a list of a declaration cannot hold None")
    return [listed(held) for held in value]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(held) for held in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(
        f"{value!r} is a {type(value).__name__}: a job holds texts, numbers, lists and tables only"
    )
