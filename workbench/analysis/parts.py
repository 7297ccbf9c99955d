"""The parts into which what steering changes in the last residual stream falls (attribution.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from workbench.analysis.vector_lens import through_final_norm
from workbench.models.hooked import HookedModel, logits, n_layers, resid_pre
from workbench.models.text import TokenBatch
from workbench.models.unembedding import Head
from workbench.steering.captured import Captured, captured
from workbench.steering.hooks import steer
from workbench.steering.interventions import Steering


@dataclass(frozen=True)
class Part:
    """One part.

    `kind` is "edit" (of the stream), "edit of attention", "edit of MLP", "attention head",
    "attention norm", "MLP" or "final norm".
    """

    kind: str
    layer: int | None = None
    head: int | None = None

    @property
    def name(self) -> str:
        """In words: "head 12.3" (layer 12), "MLP 4", "edit 10", "final norm"."""
        if self.kind == "attention head":
            return f"head {self.layer}.{self.head}"
        return self.kind if self.layer is None else f"{self.kind} {self.layer}"


@dataclass(frozen=True)
class Place:
    """Something that writes to the stream: an edit of it, a block's attention or its MLP."""

    hook: str
    layer: int
    kind: str
    edited: bool

    def parts(self, model: HookedModel) -> list[Part]:
        """The parts it falls into, in the order of `_changes`."""
        edit = [Part(_EDITS[self.kind], self.layer)] if self.edited else []
        if self.kind == "attention":
            heads = [Part("attention head", self.layer, i) for i in range(model.cfg.n_heads)]
            norm = _post_norm(model, self.layer)
            return [*heads, *([Part("attention norm", self.layer)] if norm else []), *edit]
        return [*([Part("MLP", self.layer)] if self.kind == "MLP" else []), *edit]


_EDITS = {"stream": "edit", "attention": "edit of attention", "MLP": "edit of MLP"}


def places_of(model: HookedModel, layer: int, edited: set[str]) -> list[Place]:
    """Those of a block; of edits of the stream only those that there are."""
    hooks = {
        resid_pre(layer): "stream",
        f"blocks.{layer}.hook_attn_out": "attention",
        f"blocks.{layer}.hook_mlp_out": "MLP",
    }
    return [
        Place(hook, layer, kind, hook in edited)
        for hook, kind in hooks.items()
        if hook in (edited if kind == "stream" else model.hook_dict)
    ]


@dataclass(frozen=True)
class Pass:
    """What a pass writes at the last token of each row, before the edits and after them.

    `z` is by layer, each head's own; `last` is the stream that is unembedded.
    """

    before: Captured
    after: Captured
    z: dict[int, Float[Tensor, "row head d_head"]]
    last: Float[Tensor, "row d_model"]

    @classmethod
    def of(
        cls, model: HookedModel, batch: TokenBatch, steering: Steering, places: Sequence[Place]
    ) -> Pass:
        columns = batch.lengths - 1
        writes = [place.hook for place in places]
        end = f"blocks.{n_layers(model) - 1}.hook_resid_post"
        mixed = {p.layer: f"blocks.{p.layer}.attn.hook_z" for p in places if p.kind == "attention"}
        with (
            captured(model, [*writes, *mixed.values()], columns) as before,
            steer(model, steering),
            captured(model, [*writes, end], columns) as after,
        ):
            logits(model, batch.tokens, batch.attention_mask)
        heads = model.cfg.n_heads
        z = {
            layer: _exact(before[hook]).reshape(len(columns), heads, -1)
            for layer, hook in mixed.items()
        }
        return cls(before, after, z, after[end])

    def difference(
        self, model: HookedModel, targets: Int[Tensor, "2 row"]
    ) -> Float[Tensor, " row"]:
        """The logit difference as the model's own head gives it, before any soft cap."""
        head = Head.of(model)
        every = head.unembed(head.final_norm(self.last[None]))[0]
        promoted, suppressed = _exact(every).gather(1, targets.T).unbind(1)
        return promoted - suppressed


def values(
    model: HookedModel,
    clean: Pass,
    steered: Pass,
    places: Sequence[Place],
    targets: Int[Tensor, "2 row"],
) -> Float[Tensor, "row part"]:
    """Each part in logits."""
    written = torch.cat([_changes(model, clean, steered, place) for place in places], dim=1)
    columns: Tensor = model.W_U[:, targets.to(model.W_U.device)]  # type: ignore[attr-defined]
    promoted, suppressed = _exact(columns).unbind(1)
    norm, u = model.ln_final, (promoted - suppressed).T  # type: ignore[attr-defined]
    scales = [_scale(norm, each.last) for each in (clean, steered)]
    linear = through_final_norm(norm, written)
    direct = einsum(linear, u, "row part d_model, row d_model -> row part") / scales[1][:, None]
    rest = (through_final_norm(norm, _exact(clean.last)) * u).sum(-1) * _change(*scales)
    return torch.cat([direct, rest[:, None]], dim=1)


def _changes(
    model: HookedModel, clean: Pass, steered: Pass, place: Place
) -> Float[Tensor, "row part d_model"]:
    """What steering changes in what is written at a place, part by part."""
    found: list[Tensor] = []
    if place.kind == "attention":
        found += _head_changes(model, clean.z[place.layer], steered.z[place.layer], place.layer)
    elif place.kind == "MLP":
        found.append(_exact(steered.before[place.hook]) - _exact(clean.before[place.hook]))
    if place.edited:
        found.append(_exact(steered.after[place.hook]) - _exact(steered.before[place.hook]))
    return torch.stack(found, dim=1)


def _head_changes(
    model: HookedModel,
    clean: Float[Tensor, "row head d_head"],
    steered: Float[Tensor, "row head d_head"],
    layer: int,
) -> list[Float[Tensor, "row d_model"]]:
    """Of each head, and of the norm behind them where there is one."""
    attn, norm = model.blocks[layer].attn, _post_norm(model, layer)
    W_O = _exact(attn.W_O)
    out, now = (einsum(z, W_O, "row head k, head k d -> row head d") for z in (clean, steered))
    if norm is None:
        return list((now - out).unbind(1))
    bias = getattr(attn, "b_O", None)
    before, after = (each.sum(1) + (0 if bias is None else _exact(bias)) for each in (out, now))
    scales = [_scale(norm, each.to(model.W_U)) for each in (before, after)]  # type: ignore[attr-defined]
    linear = through_final_norm(norm, now - out) / scales[1][:, None, None]
    return [
        *linear.unbind(1),
        through_final_norm(norm, before) * _change(*scales)[:, None],
    ]


def _change(clean: Tensor, steered: Tensor) -> Tensor:
    return 1 / steered - 1 / clean


def _scale(norm: Any, stream: Float[Tensor, "row d_model"]) -> Float[Tensor, " row"]:
    """What a norm divides by, found from what it gives: its linear part is known."""
    linear = through_final_norm(norm, _exact(stream))
    given = _exact(norm(stream[None])[0])
    bias = getattr(norm, "bias", None)
    if bias is None:
        bias = getattr(norm, "b", None)
    if bias is not None:
        given = given - _exact(bias)
    return (linear * linear).sum(-1) / (linear * given).sum(-1)


def _post_norm(model: HookedModel, layer: int) -> Any:
    """The norm behind a block's attention, where it has one."""
    return getattr(model.blocks[layer], "ln1_post", None)


def _exact(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
