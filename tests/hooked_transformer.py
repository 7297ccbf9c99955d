"""TransformerLens 3.9's `HookedTransformer`, made from a Hugging Face model in hand.

Its own `from_pretrained` knows hub names only, but the parts of it that convert config and weights
take a folder too.
"""

from __future__ import annotations

import tempfile

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from workbench.models.hooked import HookedModel
from workbench.models.identity import remember
from workbench.models.loading import facts_before


def from_hf(
    hf_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str,
    compatibility_mode: bool = False,
) -> HookedModel:
    """As `workbench.models.from_hf`, but a `HookedTransformer` with weights of its own."""
    from transformer_lens import HookedTransformer
    from transformer_lens import loading_from_pretrained as loading

    config = hf_model.config
    config.architectures = [type(hf_model).__name__]
    config.n_ctx = config.max_position_embeddings  # as GPT-2's files on the hub have it
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        cfg = loading.get_pretrained_model_config(
            folder, fold_ln=False, device="cpu", dtype=hf_model.dtype
        )
        weights = loading.get_pretrained_state_dict(folder, cfg, hf_model)
    cfg.model_name = name
    model = HookedTransformer(cfg, tokenizer)
    model.load_and_process_state_dict(
        weights,
        fold_ln=compatibility_mode,
        center_writing_weights=compatibility_mode,
        center_unembed=compatibility_mode,
        fold_value_biases=compatibility_mode,
    )
    remember(model, facts_before(hf_model, tokenizer, name))
    return model.eval()
