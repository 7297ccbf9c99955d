"""SEAL: steer chains of thought away from reflecting and changing course, at their blank lines.

Chen et al. 2025 (arXiv 2504.07986). A chain of thought is split at blank lines; a thought is told
by its words to be a reflection ("wait", "let me check"), a transition ("alternatively") or else an
execution. With the stream H at the blank line that leads into each thought,

    S = mean(H | execution) - mean(H | reflection or transition),    H' = H + scale · S

at blank lines only, while the model writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ends, completion_ids
from workbench.steering.activations import activations
from workbench.steering.interventions import Add
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector

Kind = Literal["execution", "reflection", "transition"]
REFLECTION = (
    r"\bwait\b",
    r"\bhold on\b",
    r"\bhmm\b",
    r"\bverify\b",
    r"\bmake sure\b",
    r"\bdouble[- ]check",
    r"\blet me check\b",
    r"\bcheck again\b",
    r"\bthink again\b",
)
TRANSITION = (
    r"\balternatively\b",
    r"\banother (way|approach|method|angle|idea)\b",
    r"\bthink differently\b",
    r"\binstead\b",
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_LINE_BREAK = re.compile(r"\n")


@dataclass(frozen=True)
class Thought:
    """A piece of a chain of thought: its text, where it starts, and what kind it is.

    `after` is where the blank line before it ends, 0 for the first piece.
    """

    text: str
    start: int
    kind: Kind
    after: int


def split_thoughts(text: str) -> list[Thought]:
    """The thoughts of a text, parted by blank lines, each with its kind."""
    lines = list(_BLANK_LINE.finditer(text))
    starts = [0, *(found.end() for found in lines)]
    ends = [*(found.start() for found in lines), len(text)]
    after = [0, *(found.start() + found.group().rindex("\n") + 1 for found in lines)]
    return [
        Thought(text[start:end], start, kind_of(text[start:end]), line)
        for start, end, line in zip(starts, ends, after, strict=True)
        if text[start:end].strip()
    ]


def kind_of(thought: str) -> Kind:
    """What kind a thought is, by its words; reflections before transitions."""
    lower = thought.lower()
    if any(re.search(pattern, lower) for pattern in REFLECTION):
        return "reflection"
    if any(re.search(pattern, lower) for pattern in TRANSITION):
        return "transition"
    return "execution"


def reasoning_calibration(
    model: HookedModel,
    prompts: Sequence[str],
    reasonings: Sequence[str],
    layer: int,
    *,
    label: str | None = None,
    progress: bool = False,
) -> SteeringVector:
    """The vector from chains of thought after their prompts; a thought counts once.

    A text's first thought has no blank line before it and is left out. Raises ValueError where
    texts and prompts do not pair, and where there are thoughts of one sort only.
    """
    if len(prompts) != len(reasonings) or not prompts:
        raise ValueError(f"{len(prompts)} prompts for {len(reasonings)} chains of thought")
    sums: dict[bool, Float[Tensor, " d_model"]] = {}
    counts = {True: 0, False: 0}
    for executes in (True, False):
        rows = [
            (prompt, text, places)
            for prompt, text in zip(prompts, reasonings, strict=True)
            if (places := _delimiters(model, prompt, text, executes))
        ]
        counts[executes] = sum(len(places) for _, _, places in rows)
        if not rows:
            kinds = "executions" if executes else "reflections or transitions"
            raise ValueError(f"there are no {kinds} after a blank line in these chains of thought")
        width = max(places[-1] for _, _, places in rows) + 1
        own = torch.zeros(len(rows), width, dtype=torch.bool)
        for row, (_, _, places) in enumerate(rows):
            own[row, places] = True
        means = activations(
            model,
            [prompt for prompt, _, _ in rows],
            [text for _, text, _ in rows],
            layers=[layer],
            positions=Positions.mask(own),
            progress=progress,
        )[:, 0].double()
        weights = torch.tensor([len(places) for _, _, places in rows], dtype=torch.float64)
        sums[executes] = (weights[:, None] * means).sum(0) / weights.sum()
    record = Provenance.of(
        "reasoning-calibration",
        model,
        config={"n_executions": counts[True], "n_others": counts[False]},
        examples=tuple(
            {"prompt": prompt, "reasoning": text}
            for prompt, text in zip(prompts, reasonings, strict=True)
        ),
    )
    values = (sums[True] - sums[False]).float()
    return SteeringVector(values, layer, record, label or f"execution, layer {layer}")


def at_blank_lines(model: HookedModel, vector: SteeringVector, scale: int | float = 1.0) -> Add:
    """Add the vector where the model writes a blank line, and nowhere else.

    With a tokenizer that spells a blank line as two line breaks, as SmolLM2's does before a letter,
    it is added at every line break: which of them make a blank line, a token does not tell. Raises
    ValueError for a tokenizer without either.
    """
    ids = delimiter_tokens(model)
    if not ids:
        raise ValueError("the tokenizer has no token with a line break: there is nowhere to steer")
    return Add(vector, scale, Positions.completion() & Positions.at_tokens(ids))


def delimiter_tokens(model: HookedModel) -> list[int]:
    """Ids of the tokens that have a blank line in them, or end one; see `at_blank_lines`."""
    tokenizer = model.tokenizer
    spelled = tokenizer("a\n\nb", add_special_tokens=False)["input_ids"]
    whole = any(_BLANK_LINE.search(text) for text in tokenizer.batch_decode([[i] for i in spelled]))
    wanted = _BLANK_LINE if whole else _LINE_BREAK
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return [i for i, text in enumerate(texts) if wanted.search(text)]


def _delimiters(model: HookedModel, prompt: str, text: str, executes: bool) -> list[int]:
    """Positions, counted from the prompt's first token, of the blank lines before such thoughts."""
    if not text:
        return []
    head, _ = completion_ids(model, prompt, text)
    ends = [end - len(prompt) for end in completion_ends(model, prompt, text)]
    found = []
    for thought in split_thoughts(text):
        if thought.after > 0 and (thought.kind == "execution") == executes:
            # The token that holds the blank line's last line break.
            found.append(len(head) + next(i for i, end in enumerate(ends) if end >= thought.after))
    return found
