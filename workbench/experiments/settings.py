"""Settings of experiments: a TOML file each (settings/), a table for each scale.

`embedded` is what runs here, on the embedded model's testbeds; `paper` names the original models,
layers and settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCALES = ("embedded", "paper")

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Scale:
    """One scale of an experiment: the models by role, the figures of the paper, and the settings.

    `models` are testbeds at the embedded scale, hub ids at the paper's, loaded in `dtype`. `full`
    has the settings of `--full`, and is empty where there are none.
    """

    name: str
    models: Mapping[str, str]
    dtype: str
    published: Mapping[str, Any]
    settings: Mapping[str, Any]
    full: Mapping[str, Any]

    def of(self, kind: Callable[..., _Settings], **changes: Any) -> _Settings:
        """The settings as the dataclass of an experiment; `changes` take their place."""
        return kind(**{**self.settings, **changes})


def read_scale(experiment: str, scale: str) -> Scale:
    """Read an experiment's settings. Raises ValueError for a scale that there is not."""
    if scale not in SCALES:
        raise ValueError(f"there is no scale {scale!r}: choose {' or '.join(SCALES)}")
    path = files("workbench.experiments") / "settings" / f"{experiment}.toml"
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    chosen = read[scale]
    return Scale(
        scale,
        chosen["models"],
        chosen["dtype"],
        read["published"],
        chosen["settings"],
        chosen.get("full", {}),
    )
