"""What a run's settings do not say and its results depend on: what was asked, and which weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd
from torch.nn import Module

from workbench.models.identity import facts_of


def contents(frame: pd.DataFrame) -> dict[str, Any]:
    """How many rows a set has, and the first digits of a SHA-256 of what they hold."""
    text = frame.to_json(orient="split", index=False)
    return {"rows": len(frame), "sha256": hashlib.sha256(text.encode()).hexdigest()[:16]}


def contents_of(public: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    """The same of each set by name."""
    return {name: contents(frame) for name, frame in sorted(public.items())}


def revisions(subject: Any) -> dict[str, str | None]:
    """The revision of each model of what is asked, by the model's name; a testbed's: its adapter's.

    `subject` is a model, or has one as `model`, and perhaps another as `parent`.
    """
    models: list[Any]
    if isinstance(subject, Module):
        models = [subject]
    else:
        models = [getattr(subject, role) for role in ("model", "parent") if hasattr(subject, role)]
    return {each.name: each.revision for each in map(facts_of, models)}
