"""Train a low-rank adapter on prompts and the answers they should get (needs the extra `train`).

Only answer tokens have a loss: their sum, in nats an answer, so that a choice made in one token
weighs as much in a long answer as in a short one; only they are unembedded. Answers that are the
parent's own are learned as its distributions. AdamW, a warm-up, then a cosine to zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from workbench.models.adapter import Adapter
from workbench.models.loading import bfloat16_is_fast
from workbench.models.low_rank import LINEAR, factors_of, low_rank, trained_parameters
from workbench.testbeds.packing import PackedBatch, Pair, Row, rows_of


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained. `epochs` passes over the rows of pairs, in a new order each.

    Layers below `first_layer` get no factors: no gradient has to pass through them. `dropout` is of
    what the factors read, the same numbers of every token of a row.
    """

    rank: int = 8
    alpha: int | float = 16
    learning_rate: float = 1e-3
    epochs: int | float = 1
    batch_size: int = 16
    warmup: float = 0.05
    weight_decay: float = 0.0
    dropout: float = 0.0
    modules: tuple[str, ...] = LINEAR
    first_layer: int = 0


def train_adapter(
    hf_model: PreTrainedModel,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    recipe: Recipe,
    seed: int = 0,
    *,
    parent: str,
    parent_revision: str | None = None,
    progress: bool = True,
    watch: Callable[[int, nn.Module], None] | None = None,
) -> Adapter:
    """Train on `pairs`; the model is left as it was found. `watch` sees each step and the model.

    Matrix products are done in bfloat16 where the device has instructions for it. Raises
    ModuleNotFoundError without peft, and ValueError where there is nothing to train on.
    """
    if not pairs:
        raise ValueError("there are no pairs to train an adapter on")
    rows = rows_of(tokenizer, pairs)
    batches = list(_batches(rows, recipe, seed))
    with low_rank(
        hf_model,
        rank=recipe.rank,
        alpha=recipe.alpha,
        modules=recipe.modules,
        first_layer=recipe.first_layer,
        seed=seed,
    ) as wrapped:
        _drop_by_row(wrapped, recipe.dropout)
        losses = _descend(wrapped, hf_model, rows, batches, recipe, progress, watch)
        factors = factors_of(wrapped)
    facts = {"seed": seed, "pairs": len(pairs), "steps": len(batches), "last_losses": losses[-5:]}
    return Adapter(parent, parent_revision, recipe.alpha, factors, facts)


def _descend(
    wrapped: Any,
    hf_model: PreTrainedModel,
    rows: Sequence[Row],
    batches: Sequence[Sequence[int]],
    recipe: Recipe,
    progress: bool,
    watch: Callable[[int, nn.Module], None] | None,
) -> list[float]:
    """Train what requires gradients, a batch a step; gives each step's loss."""
    wrapped.train()
    trained = trained_parameters(wrapped)
    optimizer = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, len(batches), recipe.warmup)
    )
    losses: list[float] = []
    bar = tqdm(batches, desc="training", unit="step", disable=not progress)
    for step, batch in enumerate(bar):
        loss = _loss(hf_model, [rows[i] for i in batch], wrapped.disable_adapter)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        bar.set_postfix_str(f"loss {sum(losses[-20:]) / len(losses[-20:]):.3f} nats an answer")
        if watch is not None:
            watch(step + 1, hf_model)
    return losses


class _RowDropout(nn.Module):
    """Dropout with one mask a row.

    A mask a token costs a quarter of a step on a CPU, which draws random numbers one by one.
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(len(x), 1, x.shape[-1], device=x.device) >= self.share
        return x * (kept.to(x.dtype) / (1 - self.share))


def _drop_by_row(wrapped: nn.Module, share: int | float) -> None:
    """Let the factors of a wrapped model drop what they read."""
    if not 0 <= share < 1:
        raise ValueError(f"dropout is a share of 0 or more and less than 1, got {share}")
    for module in wrapped.modules():
        dropouts = getattr(module, "lora_dropout", None)
        if share and isinstance(dropouts, nn.ModuleDict):
            dropouts["default"] = _RowDropout(float(share))


def _batches(rows: Sequence[Row], recipe: Recipe, seed: int) -> Iterator[list[int]]:
    """Batches of rows of like length, stage by stage; a fraction of an epoch is allowed."""
    generator = torch.Generator().manual_seed(seed)
    total = math.ceil(len(rows) * recipe.epochs / recipe.batch_size)
    epochs = (_epoch(rows, recipe.batch_size, generator) for _ in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), total)


def _epoch(rows: Sequence[Row], size: int, generator: torch.Generator) -> Iterator[list[int]]:
    order = torch.randperm(len(rows), generator=generator).tolist()
    for stage in sorted({row.stage for row in rows}):
        those = [i for i in order if rows[i].stage == stage]
        batches = []
        for begin in range(0, len(those), 8 * size):
            pool = sorted(those[begin : begin + 8 * size], key=lambda i: len(rows[i]))
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[i]


def _loss(
    hf_model: PreTrainedModel,
    rows: Sequence[Row],
    untrained: Callable[[], AbstractContextManager] = nullcontext,
) -> Tensor:
    """The loss of the answers' tokens, in nats an answer.

    Cross-entropy; at tokens of the parent's own answers KL(parent ‖ trained), which is 0 where
    nothing has changed, so that they pull at nothing else. `untrained` makes the model its parent.
    """
    batch = PackedBatch.of(rows, hf_model.device)
    read = batch.answered[:, 1:]
    logits = _logits(hf_model, batch, read)
    own = batch.own[:, 1:][read]
    wanted = batch.tokens[:, 1:][read]
    total = nn.functional.cross_entropy(logits[~own], wanted[~own], reduction="sum")
    if bool(own.any()):
        with torch.no_grad(), untrained():
            parents = _logits(hf_model, batch, read & batch.own[:, 1:]).log_softmax(-1)
        trained = logits[own].log_softmax(-1)
        total = total + nn.functional.kl_div(trained, parents, reduction="sum", log_target=True)
    return total / batch.pairs


def _logits(
    hf_model: PreTrainedModel, batch: PackedBatch, read: Bool[Tensor, "batch most"]
) -> Float[Tensor, "token d_vocab"]:
    """After the tokens that are `read` (no row's last one), in float32."""
    device = hf_model.device
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
        stream = hf_model.get_decoder()(
            batch.tokens,
            attention_mask=batch.mask.to(hf_model.dtype),
            position_ids=batch.positions,
            use_cache=False,
        )[0]
        logits = hf_model.get_output_embeddings()(stream[:, :-1][read])
    return logits.float()


def _rate(step: int, steps: int, warmup: float) -> float:
    """The share of the full learning rate at a step."""
    begin = max(1, round(warmup * steps))
    if step < begin:
        return (step + 1) / begin
    return 0.5 * (1 + math.cos(math.pi * (step - begin) / max(1, steps - begin)))
