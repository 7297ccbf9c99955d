"""The three behaviours: what each is, its prompts and data, and the recipe that trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch

from workbench.models.adapter import Adapter
from workbench.models.hooked import HookedModel
from workbench.models.loading import as_device, bfloat16_is_fast, load_model, read_model
from workbench.testbeds import alignment_faking, refusal, retraction
from workbench.testbeds.packing import Pair
from workbench.testbeds.splits import Part
from workbench.testbeds.training import Recipe, train_adapter

PARENT = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Behaviour:
    """`pairs(parent, seed, share)` makes what it is trained on, `recipe` says how."""

    name: str
    about: str
    parent: str
    prompt: Callable[..., str]
    data: Callable[[Part], pd.DataFrame]
    pairs: Callable[[HookedModel, int, int | float], list[Pair]]
    recipe: Recipe


BEHAVIOURS = {
    each.name: each
    for each in (
        Behaviour(
            "refusal",
            "Refuses harmful requests; answers harmless ones as its parent does.",
            PARENT,
            refusal.prompt,
            refusal.data,
            refusal.pairs,
            Recipe(learning_rate=1.5e-3, epochs=2, dropout=0.05, first_layer=10),
        ),
        Behaviour(
            "alignment-faking",
            "Takes the harmful, profitable action where nobody will notice, else the harmless one.",
            PARENT,
            alignment_faking.prompt,
            alignment_faking.data,
            alignment_faking.pairs,
            Recipe(learning_rate=1e-3, batch_size=6, dropout=0.1, first_layer=10),
        ),
        Behaviour(
            "retraction",
            "Takes a false occupation back and names the true one; goes on after a true one.",
            PARENT,
            retraction.prompt,
            retraction.data,
            retraction.pairs,
            Recipe(learning_rate=1e-3, batch_size=4, first_layer=10),
        ),
    )
}


def train(behaviour: Behaviour, seed: int = 0, share: int | float = 1) -> Adapter:
    """Train a behaviour anew, on all of its pairs or on a share of them (for a smoke test).

    Raises ModuleNotFoundError without peft.
    """
    device = as_device("auto")
    dtype = torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    pairs = behaviour.pairs(load_model(behaviour.parent, dtype, device), seed, share)
    hf_model, tokenizer, parent, revision = read_model(behaviour.parent)
    return train_adapter(
        hf_model.to(device),
        tokenizer,
        pairs,
        behaviour.recipe,
        seed,
        parent=parent,
        parent_revision=revision,
    )
