"""A hooked model with edited weights, beside the one it was made from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

from transformers import PreTrainedModel

from workbench.models.hooked import HookedModel
from workbench.models.identity import facts_of, remember
from workbench.models.loading import from_hf
from workbench.models.norms import without_faster_norms
from workbench.models.plain import plain_of


def edited_copy(
    model: HookedModel, edit: Callable[[PreTrainedModel], object], name: str
) -> HookedModel:
    """Copy the weights, let `edit` change the copy in place, and wrap it; called `{model}, {name}`.

    Raises ValueError for a model without a plain one behind it.
    """
    plain = plain_of(model)
    if plain is None:
        raise ValueError(
            "only a model that load_model or from_hf gave, without hooks and in its raw weights, "
            "can be copied and edited"
        )
    hf_model = copy.deepcopy(plain.hf_model)
    without_faster_norms(hf_model)
    edit(hf_model)
    facts = facts_of(model)
    facts = replace(facts, name=f"{facts.name}, {name}")
    made = from_hf(hf_model, model.tokenizer, name=facts.name)
    remember(made, facts)  # wrapping has changed the tokenizer
    return made
