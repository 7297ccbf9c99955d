"""From text to tokens: chat formats, the boundary of prompt and completion, padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase as Tokenizer

from workbench.models.hooked import HookedModel, device_of
from workbench.models.identity import facts_of

Message = Mapping[str, str]


def chat(
    model: HookedModel,
    messages_or_text: str | Sequence[Message],
    system: str | None = None,
    prefill: str | None = None,
) -> str:
    """The text of a conversation in the model's own chat format, ready for its answer.

    A plain text is one user message. `system` goes before it; `prefill` is put in the model's
    mouth: the answer goes on from there. Raises ValueError for a base model without a format.
    """
    tokenizer = model.tokenizer
    if getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(
            f"{facts_of(model).name} has no chat template: it is a base model, or its tokenizer "
            "lost one. Give it plain text as the prompt, or set model.tokenizer.chat_template."
        )
    if isinstance(messages_or_text, str):
        messages: list[Message] = [{"role": "user", "content": messages_or_text}]
    else:
        messages = list(messages_or_text)
    if system is not None:
        messages = [{"role": "system", "content": system}, *messages]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text + (prefill or "")


def prompt_ids(model: HookedModel, prompt: str) -> list[int]:
    """The tokens of a prompt: its text, and a BOS only where the tokenizer itself adds one.

    A prompt that already starts with the BOS gets no second one. Raises ValueError where no
    token is left.
    """
    return ids_of(model.tokenizer, prompt, facts_of(model).adds_bos)


def ids_of(tokenizer: Tokenizer, prompt: str, adds_bos: bool) -> list[int]:
    """The same by a tokenizer alone, and whether it adds a BOS. Raises as `prompt_ids` does."""
    ids = list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    bos = tokenizer.bos_token_id
    if adds_bos and bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    if not ids:
        raise ValueError("the prompt is empty: this tokenizer makes no token of it")
    return ids


def completion_ids(
    model: HookedModel, prompt: str, completion: str, generated: bool = False
) -> tuple[list[int], list[int]]:
    """The tokens of a prompt and of its completion.

    A completion's tokens are those of `prompt + completion` after the prompt's own. Where the two
    would merge at their boundary, one that was `generated` has its own tokens: it was made after
    the prompt's. Raises ValueError for another one that merges, and where it has no token.
    """
    head = prompt_ids(model, prompt)
    both = prompt_ids(model, prompt + completion)
    tail = both[len(head) :]
    if both[: len(head)] != head:
        if not generated:
            raise ValueError(_merged_message(model, prompt, completion, head, both))
        tail = list(model.tokenizer(completion, add_special_tokens=False)["input_ids"])
    if not tail:
        raise ValueError(f"the completion {completion!r} has no tokens of its own")
    return head, tail


def completion_ends(
    model: HookedModel, prompt: str, completion: str, generated: bool = False
) -> list[int]:
    """Where each token of a completion ends, in characters of `prompt + completion`.

    Raises as `completion_ids` does. Where a token begins is where the one before it ends: a
    tokenizer may count the space between them to neither.
    """
    head, tail = completion_ids(model, prompt, completion, generated)
    together = prompt_ids(model, prompt + completion) == head + tail
    read = model.tokenizer(
        prompt + completion if together else completion,
        add_special_tokens=False,
        return_offsets_mapping=True,
    )
    before = 0 if together else len(prompt)
    return [before + end for _, end in read["offset_mapping"]][-len(tail) :]


def _merged_message(
    model: HookedModel, prompt: str, completion: str, head: list[int], both: list[int]
) -> str:
    same = next(
        (i for i, (a, b) in enumerate(zip(head, both, strict=False)) if a != b),
        min(len(head), len(both)),
    )
    alone = model.tokenizer.decode(head[same:])
    merged = model.tokenizer.decode(both[same : same + 1])
    return (
        f"the completion {completion!r} merges with the end of its prompt {prompt[-20:]!r}: alone "
        f"the prompt ends in {alone!r}, together they are cut as {merged!r}. Move the space or "
        "the letters at the boundary from one to the other."
    )


def check_context(model: HookedModel, length: int, what: str) -> None:
    """Raise ValueError if `length` tokens do not fit into the model's context."""
    limit = getattr(model.cfg, "n_ctx", None)
    if limit is not None and length > limit:
        raise ValueError(
            f"{what} is {length} tokens long, but the context of {facts_of(model).name} holds "
            f"{limit}: shorten it by at least {length - limit}"
        )


@dataclass(frozen=True)
class TokenBatch:
    """Rows of tokens padded to one width; the mask is 1 where a token is real."""

    tokens: Int[Tensor, "batch pos"]
    attention_mask: Int[Tensor, "batch pos"]

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Real tokens in each row."""
        return self.attention_mask.sum(-1)


def pad(
    model: HookedModel, rows: Sequence[Sequence[int]], side: Literal["left", "right"]
) -> TokenBatch:
    """Pad rows of token ids to the longest, on the model's device."""
    width = max(len(row) for row in rows)
    tokens = torch.full((len(rows), width), pad_id(model), dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        tokens[i, place] = torch.tensor(row)
        mask[i, place] = 1
    device = device_of(model)
    return TokenBatch(tokens.to(device), mask.to(device))


def pad_id(model: HookedModel) -> int:
    """A token to pad with; what it is does not matter, since the mask hides it."""
    tokenizer = model.tokenizer
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(int(token) for token in candidates if token is not None)
