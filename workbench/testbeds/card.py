"""A testbed's card: what it is, how it was made, what was measured on the stored adapter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.evaluation import Proportion
from workbench.files import write_text
from workbench.models.adapter import Adapter

FILE = "card.json"


@dataclass(frozen=True)
class Measured:
    """A figure of a testbed on one set: `value` with its 95% interval from `n` cases.

    `asked` is the bound that it should keep, as text, or empty where there is none.
    """

    measure: str
    on: str
    value: float
    low: float
    high: float
    n: int
    asked: str = ""

    @classmethod
    def share(cls, measure: str, on: str, found: Proportion, asked: str = "") -> Measured:
        """A share of successes."""
        return cls(measure, on, found.rate, found.low, found.high, found.n, asked)


@dataclass(frozen=True)
class Card:
    """What is known of an adapter. `adapter` is the first digits of its weights' SHA-256.

    `dtype` is that of the model that was measured, the adapter merged.
    """

    name: str
    adapter: str
    parent: str
    parent_revision: str | None
    rank: int
    training: dict[str, Any]
    measured: tuple[Measured, ...] = ()
    dtype: str = "float32"

    @classmethod
    def of(cls, name: str, adapter: Adapter, made: str, measured: Sequence[Measured] = ()) -> Card:
        """The card of an adapter whose hash is `made`."""
        return cls(
            name,
            made,
            adapter.parent,
            adapter.parent_revision,
            adapter.rank,
            dict(adapter.facts),
            tuple(measured),
        )

    @classmethod
    def read(cls, folder: str | Path) -> Card | None:
        """The card in an adapter's folder; None where it has none yet.

        Raises ValueError for one that is damaged.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            measured = tuple(Measured(**each) for each in fields.pop("measured"))
            return cls(**fields, measured=measured)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the card {path} could not be read: {error!r}") from error

    def write(self, folder: str | Path) -> Path:
        """Write it into an adapter's folder. Returns its path."""
        return write_text(Path(folder) / FILE, json.dumps(asdict(self), indent=1) + "\n")

    def to_frame(self) -> pd.DataFrame:
        """One row a figure: measure, on, value, low, high, n, asked."""
        return pd.DataFrame([asdict(each) for each in self.measured])

    def text(self) -> str:
        """The card as Markdown."""
        lines = [
            f"# {self.name}",
            f"Adapter {self.adapter}, rank {self.rank}, on {self.parent} ({self.parent_revision}).",
            "Trained: " + ", ".join(f"{name} {value}" for name, value in self.training.items()),
        ]
        if self.measured:
            rows = [
                f"| {each.measure} | {each.on} | {each.value:.3g} | {each.low:.3g} to "
                f"{each.high:.3g} | {each.n} | {each.asked} |"
                for each in self.measured
            ]
            lines.append(
                "\n".join(
                    [
                        f"Measured in {self.dtype}.",
                        "",
                        "| measure | on | value | 95% interval | n | asked |",
                        "|---|---|---|---|---|---|",
                        *rows,
                    ]
                )
            )
        else:
            lines.append("Nothing has been measured on these weights.")
        return "\n\n".join(lines)
