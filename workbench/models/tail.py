"""The replayed tail: run a model once, then only its later blocks, as often as you like.

With weights frozen, everything below layer L is the same in every step of an optimization at
layer L. So one clean forward pass is recorded: the stream at the layers that matter, and the
arguments that each later block received. Steps replay blocks L.. on it, on rows that share their
prompts (models/branches.py), and unembed only the positions that somebody reads.

The blocks are the plain model's where there is one (models/plain.py), else the hooked model's own.
What they give is compared with the recorded pass. Where prompts cannot be shared, each completion
has a row of its own; where blocks cannot be replayed at all, or logits are not norm and
unembedding of the last stream, the full forward pass takes their place, with one warning.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from workbench.models.branches import Branches
from workbench.models.hooked import HookedModel, hook_point, logits, n_layers, resid_pre
from workbench.models.plain import plain_of
from workbench.models.recording import Call, Place, causal_mask, record, record_arguments
from workbench.models.unembedding import Head, Reader

StreamEdit = Callable[[Tensor], Tensor]
# Float noise between the recorded pass and the replayed one, relative to the largest logit.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-8}
_HALF = 0.1
_TROUBLE = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Recording:
    """One clean pass over separate rows, ready to be replayed from any layer on, on shared rows.

    `calls` are the arguments of blocks `first`.. and `streams` what entered them, on the rows of
    `branches`. Where the model cannot be replayed both are empty and a step runs all of it.
    """

    model: HookedModel
    first: int
    tokens: Int[Tensor, "batch pos"]
    attention_mask: Int[Tensor, "batch pos"]
    branches: Branches
    head: Head
    blocks: Sequence[nn.Module] = ()
    calls: tuple[Call, ...] = ()
    streams: tuple[Tensor, ...] = ()

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: HookedModel,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"],
        prompt_lengths: Int[Tensor, " batch"],
        groups: Sequence[Sequence[int]],
        first: int,
        last: int | None = None,
    ) -> Recording:
        """Run the model once, unsteered, on rows padded right; `groups` share their prompts.

        Tails will begin at layers `first` to `last`. The first time that a model is given texts of
        about this length all of it is run, and replayed logits are compared; from then on only the
        blocks below `last`.
        """
        lengths = attention_mask.sum(-1)
        shared = Branches.of(prompt_lengths, lengths, groups)
        alone = Branches.of(prompt_lengths, lengths, [(row,) for row in range(len(tokens))])
        plain = plain_of(model)
        rows_and_mask = (tokens, attention_mask)
        about = (shared.groups != alone.groups, tokens.shape[1].bit_length())
        if plain is not None and about in plain.replays:
            last = n_layers(model) - 1 if last is None else last
            known = record_arguments(plain, first, last, *rows_and_mask, plain.replays[about])
            head, blocks = Head.of(model, plain), list(plain.blocks)
            return cls(model, first, *rows_and_mask, shared, head, blocks)._with(known)
        reasons = []
        for behind in (plain, None) if plain is not None else (None,):
            blocks = list(model.blocks if behind is None else behind.blocks)
            runner = model if behind is None else behind.hf_model
            head = Head.of(model, behind)
            rows = torch.arange(len(tokens), device=tokens.device).repeat(2)
            ends = (rows, torch.cat([prompt_lengths, lengths]) - 1)
            try:
                calls, clean, tuples = record(runner, blocks, first, *rows_and_mask, behind, ends)
            except _TROUBLE as error:
                reasons.append(str(error))
                continue
            for branches in (shared, alone):
                found = cls(model, first, *rows_and_mask, branches, head, blocks)
                try:
                    found = found._with(calls)
                    found._check(ends, clean, first)
                except _TROUBLE as error:
                    reasons.append(str(error))
                else:
                    if behind is not None and branches is shared:
                        behind.replays[about] = tuples
                    return found
        warnings.warn(
            f"the blocks of {model.cfg.model_name} cannot be replayed ({reasons[-1]}): every step "
            "runs the whole model, which is slower but equal",
            stacklevel=2,
        )
        return cls(model, first, *rows_and_mask, alone, Head.of(model))

    @property
    def replayed(self) -> bool:
        """Whether only later blocks are run."""
        return bool(self.calls)

    @property
    def shared(self) -> bool:
        """Whether completions of one prompt are in one row."""
        return any(len(group) > 1 for group in self.branches.groups)

    def tail(self, layer: int | Sequence[int], order: Sequence[int]) -> Tail:
        """Blocks `layer`.. on a batch of shared rows, which may repeat.

        With a layer for each row, a row joins the batch at its own; they must not fall.
        """
        since = [layer] * len(order) if isinstance(layer, int) else list(layer)
        index = torch.tensor(order, device=self.tokens.device)
        if not self.replayed:
            return Tail(self, since[0], order=self.branches.row[index, 0])
        calls, joining, count = [], {}, len(self.branches.groups)
        present, done = 0, {}  # type: ignore[var-annotated]
        for at, (args, kwargs) in enumerate(self.calls[since[0] - self.first :], start=since[0]):
            before, present = present, bisect_right(since, at)
            if present > before:
                joining[at] = self.streams[at - self.first][index[before:present]]
                done = {}
            rows = index[:present]
            calls.append((_taken(args, rows, count, done), _taken(kwargs, rows, count, done)))
        return Tail(self, since[0], calls=tuple(calls), joining=joining)

    def _with(self, calls: Sequence[Call]) -> Recording:
        """The recorded arguments, arranged on the shared rows."""
        batch, width = self.tokens.shape
        streams, arranged = [], []
        done: dict[Any, Any] = {}
        for args, kwargs in calls:
            stream = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
            streams.append(self.branches.columns_of(stream.detach()))
            given = {**kwargs}
            if "hidden_states" in given:  # its place is kept; the stream comes with each run
                given["hidden_states"] = None
            if given.get("attention_mask", stream) is None:
                given["attention_mask"] = done.setdefault(
                    "causal", causal_mask(width, stream.device)
                )
            given = {k: self.branches.arrange(v, width, batch, done) for k, v in given.items()}
            rest = args if "hidden_states" in kwargs else args[1:]
            arranged.append((self.branches.arrange(tuple(rest), width, batch, done), given))
        return replace(self, streams=tuple(streams), calls=tuple(arranged))

    def _check(self, ends: Place, clean: Float[Tensor, "end d_vocab"], layer: int) -> None:
        """Raise RuntimeError unless replayed rows, in another order, equal the recorded pass.

        Compared are the logits at the end of each separate row's prompt and of the row.
        """
        order = torch.arange(len(self.branches.groups), device=clean.device).flip(0)
        final = self.tail(layer, order.tolist()).run({}).stream
        assert final is not None
        shared, column = self.branches.places_of(*ends)
        found = self.head(final[order[shared], column]).float()
        gap = float((found - clean).abs().max() / clean.abs().max().clamp(min=1.0))
        if not gap <= TOLERANCE.get(final.dtype, _HALF):
            raise RuntimeError(f"the replayed logits differ by {gap:.1e} of the largest one")


@dataclass(frozen=True, eq=False)
class Tail:
    """Blocks `layer`.. on one batch of rows. Each run may edit the stream at any of them.

    `joining` are the rows that enter the batch at a layer, behind those that are there.
    """

    recording: Recording
    layer: int
    calls: tuple[Call, ...] = ()
    joining: Mapping[int, Float[Tensor, "_row pos d_model"]] = field(default_factory=dict)
    order: Int[Tensor, " row"] | None = None

    def run(self, edits: Mapping[int, StreamEdit], watch: Sequence[int] = ()) -> Pass:
        """One pass. `edits` change a layer's input; `watch` keeps inputs of layers, edited.

        The stream of `watch` one past the last layer is what the last block writes.
        """
        if not self.calls:
            return self._run_all(edits, watch)
        stream, watched = self.joining[self.layer], {}
        last = n_layers(self.recording.model)
        for layer, (args, kwargs) in enumerate(self.calls, start=self.layer):
            if layer in self.joining and layer > self.layer:
                stream = torch.cat([stream, self.joining[layer]])
            if layer in edits:
                stream = edits[layer](stream)
            if layer in watch:
                watched[layer] = stream
            block = self.recording.blocks[layer]
            if "hidden_states" in kwargs:
                out = block(*args, **{**kwargs, "hidden_states": stream})
            else:
                out = block(stream, *args, **kwargs)
            stream = out[0] if isinstance(out, tuple) else out
        if last in watch:
            watched[last] = stream
        return Pass(self.recording.head, stream=stream, watched=watched)

    def _run_all(self, edits: Mapping[int, StreamEdit], watch: Sequence[int]) -> Pass:
        """The whole model, edited and watched by hooks."""
        model, watched = self.recording.model, {}

        def visit(layer: int) -> Callable[..., Tensor]:
            def hook(module: nn.Module, args: tuple, resid: Tensor) -> Tensor:
                edited = edits[layer](resid) if layer in edits else resid
                if layer in watch:
                    watched[layer] = edited
                return edited

            return hook

        with ExitStack() as stack:
            for layer in {*edits, *watch}:
                name = resid_pre(layer)
                if layer == n_layers(model):
                    name = f"blocks.{layer - 1}.hook_resid_post"
                handle = hook_point(model, name).register_forward_hook(visit(layer))
                stack.callback(handle.remove)
            rows = self.order
            every = logits(model, self.recording.tokens[rows], self.recording.attention_mask[rows])
        return Pass(self.recording.head, logits=every, watched=watched)


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass gave: the last stream, or the logits where the whole model was run."""

    head: Head
    stream: Float[Tensor, "row pos d_model"] | None = None
    logits: Float[Tensor, "row pos d_vocab"] | None = None
    watched: dict[int, Tensor] = field(default_factory=dict)

    def read(
        self, row: Int[Tensor, " token"], column: Int[Tensor, " token"], reader: Reader
    ) -> Float[Tensor, " token"]:
        """A value for the logits of each position, differentiable (see `Head.read`)."""
        if self.stream is not None:
            return self.head.read(self.stream[row, column], reader)
        assert self.logits is not None
        return _ReadLogits.apply(self.logits[row, column], reader)

    def logits_at(
        self, row: Int[Tensor, " token"], column: Int[Tensor, " token"]
    ) -> Float[Tensor, "token d_vocab"]:
        """The logits of each position."""
        if self.stream is not None:
            return self.head(self.stream[row, column])
        assert self.logits is not None
        return self.logits[row, column]


class _ReadLogits(torch.autograd.Function):
    """A reader's values and gradients on logits that are there already."""

    @staticmethod
    def forward(ctx, read: Tensor, reader: Reader) -> Tensor:  # type: ignore[no-untyped-def]
        values, by_logits = reader(read.detach(), torch.arange(len(read), device=read.device))
        ctx.save_for_backward(by_logits)
        return values

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        (by_logits,) = ctx.saved_tensors
        return by_logits * gradient[:, None], None


def _taken(value: Any, index: Tensor, count: int, done: dict[Any, Any]) -> Any:
    """An arranged argument for some of the `count` rows."""
    if isinstance(value, dict):
        return {name: _taken(each, index, count, done) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_taken(each, index, count, done) for each in value)
    if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[0] != count:
        return value
    if id(value) not in done:
        done[id(value)] = value[index]
    return done[id(value)]
