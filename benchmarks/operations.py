"""How many floating point operations a step needs, and how many a second this machine does.

Counted are the products that no exact method can do without, a multiplication and an addition as
two operations, for a decoder of Llama's kind (seven weight matrices a block, no biases):

- in the blocks from L on: the weight products of every token, the prompt once and each completion
  once, and the two attention products of every pair of tokens that may see each other;
- the unembedding of the positions that the loss reads, one a completion token;
- backward the same once more for the weight products (gradients of inputs only: weights are
  frozen) and twice for attention, where both factors depend on the vector.

Norms, activation functions, softmaxes, positions, the blocks below L and the loss of the last
iterate are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear

HOW = (
    "Needed operations, a vector and step: the weight products of blocks L.. for the prompt's "
    "tokens once and each completion's once, forward and backward to the inputs; the attention "
    "products of the pairs of tokens that may see each other, two forward and four backward; the "
    "unembedding of one position a completion token, forward and backward. A multiplication and "
    "an addition are two operations. The rate is that of the same weight products by themselves, "
    "in float32 or bfloat16, weighted as a step needs them, on as many rows as the engine's batch "
    "has tokens, measured right before and after each of its calls."
)


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that its matrix products depend on."""

    width: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    vocab: int

    @classmethod
    def of(cls, config: Any) -> Shape:
        """The sizes of a Hugging Face config of Llama's kind."""
        heads = config.num_attention_heads
        return cls(
            width=config.hidden_size,
            hidden=config.intermediate_size,
            heads=heads,
            kv_heads=config.num_key_value_heads,
            head=getattr(config, "head_dim", None) or config.hidden_size // heads,
            vocab=config.vocab_size,
        )

    @property
    def block_weights(self) -> list[tuple[int, int]]:
        """(in, out) of a block's weight matrices: q, k, v, o, gate, up, down."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return [
            (self.width, queries),
            (self.width, keys),
            (self.width, keys),
            (queries, self.width),
            (self.width, self.hidden),
            (self.width, self.hidden),
            (self.hidden, self.width),
        ]

    def forward(self, blocks: int, tokens: int, pairs: int, read: int) -> int:
        """Operations of a forward pass through some blocks and the unembedding."""
        weights = sum(inner * outer for inner, outer in self.block_weights)
        attention = 2 * pairs * self.heads * self.head
        return 2 * (blocks * (tokens * weights + attention) + read * self.width * self.vocab)

    def backward(self, blocks: int, tokens: int, pairs: int, read: int) -> int:
        """Operations of the gradient of that pass's input: attention counts twice."""
        return self.forward(blocks, tokens, 2 * pairs, read)


def needed(config: Any, layer: int, prompt: int, completions: Sequence[int]) -> int:
    """Operations of one step of one vector at `layer`: token counts of prompt and completions."""
    pairs = prompt * (prompt + 1) // 2
    pairs += sum(prompt * own + own * (own + 1) // 2 for own in completions)
    read = sum(completions)
    sizes = (config.num_hidden_layers - layer, prompt + read, pairs, read)
    shape = Shape.of(config)
    return shape.forward(*sizes) + shape.backward(*sizes)


@torch.no_grad()
def matrix_rate(
    config: Any, blocks: int, rows: int, read: int, dtype: torch.dtype, seconds: float = 0.5
) -> float:
    """Operations a second in a step's weight products, each shape timed by itself.

    `rows` is how many tokens the batch has, `read` how many of them are unembedded.
    """
    shape = Shape.of(config)
    products: dict[tuple[int, int, int], int] = {(read, shape.width, shape.vocab): 1}
    for inner, outer in shape.block_weights:
        key = (rows, inner, outer)
        products[key] = products.get(key, 0) + blocks
    total, spent = 0, 0.0
    for (count, inner, outer), times in products.items():
        weight = torch.randn(outer, inner, dtype=dtype)
        x, g = torch.randn(count, inner, dtype=dtype), torch.randn(count, outer, dtype=dtype)
        spent += times * _seconds_of(x, g, weight, seconds / len(products))
        total += times * 4 * count * inner * outer
    return total / spent


def _seconds_of(x: torch.Tensor, g: torch.Tensor, weight: torch.Tensor, budget: float) -> float:
    """Seconds of one product forward and one backward, the mean over about `budget` seconds."""
    linear(x, weight)  # the first call may prepare itself
    torch.mm(g, weight)
    repeats, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < budget or not repeats:
        linear(x, weight)
        torch.mm(g, weight)
        repeats += 1
    return spent / repeats
