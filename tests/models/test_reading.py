"""Reading weights from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from workbench.models.reading import read_causal_lm


def test_threads_that_read_at_once_leave_weights_tied(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tie_weights = PreTrainedModel.tie_weights
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: read_causal_lm(tmp_path, torch.float32), range(32)))
    assert PreTrainedModel.tie_weights is tie_weights
    assert all(model.lm_head.weight is model.model.embed_tokens.weight for model in read)
