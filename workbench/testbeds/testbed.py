"""Load a testbed: the parent with an adapter merged, its data, and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from workbench.models.adapter import AdapterError, adapter_hash, load_adapted, load_adapter
from workbench.models.hooked import HookedModel
from workbench.models.loading import load_model
from workbench.testbeds.behaviours import BEHAVIOURS, Behaviour
from workbench.testbeds.card import Card
from workbench.testbeds.splits import PARTS

SHIPPED = Path(__file__).parent / "adapters"


@dataclass(frozen=True)
class Data:
    """What a behaviour is trained, chosen and measured on: three frames that share no line."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


class Testbed:
    """A model with a known behaviour; `model` works with everything that takes a model.

    Made by `load_testbed`.
    """

    __test__ = False  # pytest: not a class of tests

    def __init__(
        self, behaviour: Behaviour, model: HookedModel, card: Card, load_parent: Callable[[], Any]
    ) -> None:
        self.behaviour = behaviour
        self.model = model
        self.card = card
        self._load_parent = load_parent

    @property
    def name(self) -> str:
        """`refusal`, `alignment-faking` or `retraction`."""
        return self.behaviour.name

    @cached_property
    def parent(self) -> HookedModel:
        """The model without the adapter, loaded when first asked for: the base for surprisal."""
        parent: HookedModel = self._load_parent()
        return parent

    @cached_property
    def data(self) -> Data:
        """Frames of our own, `train`, `validation` and `test`; columns are the prompt's fields."""
        return Data(*map(self.behaviour.data, PARTS))

    def prompt(self, *fields: Any, **named: Any) -> str:
        """A prompt of this testbed's kind, ready for `generate`, from the world's own fields.

        refusal: `request`. alignment-faking: `facts` and two `actions`. retraction: a `person` and
        an `occupation`, with which the answer is begun. Raises ValueError for empty ones.
        """
        return self.behaviour.prompt(self.model, *fields, **named)

    def __repr__(self) -> str:
        return f"Testbed({self.name!r}, adapter {self.card.adapter} on {self.card.parent})"


def load_testbed(
    name: str,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "auto",
    *,
    adapter: str | Path | None = None,
) -> Testbed:
    """A small model with a known behaviour: `refusal`, `alignment-faking` or `retraction`.

    The adapter that comes with the package is merged into its parent, or `adapter`, a folder that
    `workbench testbed train` wrote. No peft is needed.

    Raises ValueError for an unknown name, AdapterError (a ValueError) for an adapter that is
    missing, damaged, or made for another model or another testbed.
    """
    behaviour = behaviour_named(name)
    folder = _folder(name, adapter)
    card = card_of(name, adapter)
    factors = load_adapter(folder)
    if factors.parent != behaviour.parent:
        raise AdapterError(
            f"the adapter in {folder} was made for {factors.parent}, and {name} is a testbed on "
            f"{behaviour.parent}"
        )
    model = load_adapted(factors, name, adapter_hash(folder), dtype, device)
    return Testbed(behaviour, model, card, lambda: load_model(factors.parent, dtype, device))


def card_of(name: str, adapter: str | Path | None = None) -> Card:
    """The card of a testbed's adapter: the one shipped, or one in a folder.

    What was measured on other weights than those in the folder is left out. Raises as
    `load_testbed` does.
    """
    behaviour_named(name)
    folder = _folder(name, adapter)
    made = Card.of(name, load_adapter(folder), adapter_hash(folder))
    written = Card.read(folder)
    if written is None or written.adapter != made.adapter:
        return made
    if written.name != name:
        raise AdapterError(f"the adapter in {folder} is one of {written.name}, not of {name}")
    return written


def behaviour_named(name: str) -> Behaviour:
    """Raises ValueError, with the names there are, for an unknown one."""
    if name not in BEHAVIOURS:
        known = ", ".join(sorted(BEHAVIOURS))
        raise ValueError(f"there is no testbed {name!r}; known: {known}")
    return BEHAVIOURS[name]


def _folder(name: str, adapter: str | Path | None) -> Path:
    if adapter is not None:
        return Path(adapter)
    if not (SHIPPED / name).is_dir():
        raise AdapterError(
            f"no adapter of {name} is shipped: make one (workbench testbed train {name}) and give "
            "its folder as `adapter`"
        )
    return SHIPPED / name
