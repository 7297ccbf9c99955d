"""Which heads and MLPs a vector works through: what they pass on, and which heads read it.

Indirect effects by patching: the output of one head, or of one MLP, under steering is put into the
unsteered run (is it enough?), and its unsteered output into the steered run (is it needed?), at
every position. What counts is the logit difference, promoted minus suppressed, after each prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.analysis.targets import Targets
from workbench.analysis.vector_lens import through_final_norm
from workbench.models.hooked import HookedModel, logits, n_layers, undisturbed
from workbench.models.text import TokenBatch, pad, prompt_ids
from workbench.steering.captured import Captured, captured
from workbench.steering.hooks import attach, steer
from workbench.steering.interventions import Steering
from workbench.steering.vector import SteeringVector

RANDOM = 64


@dataclass(frozen=True, eq=False)
class IndirectEffects:
    """Changes of the logit difference, in logits, by prompt, layer and part.

    Parts are the heads, then the MLP. `enough`: steered output in the unsteered run, minus the
    unsteered difference. `needed`: the steered difference minus that with the unsteered output in
    the steered run. `whole` is what steering itself changes.
    """

    layers: tuple[int, ...]
    n_heads: int
    enough: Float[np.ndarray, "prompt layer part"]
    needed: Float[np.ndarray, "prompt layer part"]
    whole: Float[np.ndarray, " prompt"]

    def to_frame(self) -> pd.DataFrame:
        """One row a layer and part: layer, part (a head's number or "MLP"), enough, needed, n.

        Means over prompts, in logits.
        """
        return pd.DataFrame(
            {
                "layer": layer,
                "part": str(part) if part < self.n_heads else "MLP",
                "enough": float(self.enough[:, i, part].mean()),
                "needed": float(self.needed[:, i, part].mean()),
                "n": len(self.whole),
            }
            for i, layer in enumerate(self.layers)
            for part in range(self.n_heads + 1)
        )


@torch.no_grad()
def indirect_effects(
    model: HookedModel,
    prompts: Sequence[str],
    promoted: str | Sequence[str],
    suppressed: str | Sequence[str],
    steering: Steering,
    *,
    layers: Sequence[int] | None = None,
    progress: bool = False,
) -> IndirectEffects:
    """Patch each head and each MLP of `layers` (all) from one run into the other.

    `promoted` and `suppressed` as in `attribute`. Layers before the first edit change nothing.
    Raises ValueError as `attribute` does, but for a steering without edits.
    """
    targets = Targets.of(model, prompts, promoted, suppressed)
    batch = pad(model, [prompt_ids(model, prompt) for prompt in prompts], side="right")
    wanted = list(range(n_layers(model)) if layers is None else layers)
    heads = int(model.cfg.n_heads)
    run = _Run(model, batch, targets.tokens, heads)
    with undisturbed(model):
        clean, steered = run.outputs(wanted, ()), run.outputs(wanted, steering)
        before, after = run.difference(()), run.difference(steering)
        enough, needed = [], []
        for layer in tqdm(wanted, desc="patching", disable=not progress):
            parts = [*range(heads), None]
            enough.append([run.patched((), steered, layer, part) - before for part in parts])
            needed.append([after - run.patched(steering, clean, layer, part) for part in parts])
    return IndirectEffects(
        tuple(wanted),
        heads,
        np.moveaxis(np.array(enough), -1, 0),
        np.moveaxis(np.array(needed), -1, 0),
        after - before,
    )


@dataclass(frozen=True)
class _Run:
    """Passes over all prompts, with something patched in."""

    model: HookedModel
    batch: TokenBatch
    targets: Int[Tensor, "2 batch"]
    heads: int

    def outputs(self, layers: Sequence[int], steering: Steering) -> Captured:
        """What heads and MLPs of these layers give."""
        hooks = [hook for layer in layers for hook in (_z(layer), _mlp(layer))]
        with steer(self.model, steering), captured(self.model, hooks) as found:
            logits(self.model, self.batch.tokens, self.batch.attention_mask)
        return found

    def patched(
        self, steering: Steering, outputs: Captured, layer: int, head: int | None
    ) -> Float[np.ndarray, " batch"]:
        """The logit difference with one head's output (the MLP's for None) from elsewhere."""
        hook = _mlp(layer) if head is None else _z(layer)

        def put(x: Tensor) -> Tensor:
            if head is None:
                return outputs[hook]
            split = (*x.shape[:2], self.heads, -1)
            mixed = x.reshape(split).clone()
            mixed[:, :, head] = outputs[hook].reshape(split)[:, :, head]
            return mixed.reshape(x.shape)

        handle = attach(put, hook, self.model, None)
        try:
            return self.difference(steering)
        finally:
            handle.remove()

    def difference(self, steering: Steering) -> Float[np.ndarray, " batch"]:
        """Promoted minus suppressed, in logits, after each prompt."""
        with steer(self.model, steering):
            every = logits(self.model, self.batch.tokens, self.batch.attention_mask)
        row = torch.arange(len(every), device=every.device)
        last = every[row, self.batch.lengths - 1].double().cpu()
        promoted, suppressed = last.gather(1, self.targets.T).unbind(1)
        return (promoted - suppressed).numpy()


def reading_heads(model: HookedModel, vector: SteeringVector, seed: int = 0) -> pd.DataFrame:
    """One row a head of the vector's layer and later: how much of the vector it takes in.

    Columns: layer, head, ov, query, key: the norm of the vector, through the layer's first norm
    (its linear part), behind the head's OV, Q and K maps, as a multiple of what random vectors of
    the same norm have on average; `ov_high` and so on: their 97.5% quantile.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(RANDOM, vector.d_model, generator=generator)
    values = torch.cat([vector.values[None].cpu().float(), noise])
    values = values / values.norm(dim=-1, keepdim=True)
    rows = []
    for layer in range(min(vector.layers), n_layers(model)):
        block = model.blocks[layer]
        read = through_final_norm(getattr(block, "ln1", None), values)
        maps = {name: getattr(block.attn, name).detach().float().cpu() for name in _MAPS}
        heads = len(maps["W_Q"])
        shared = heads // len(maps["W_V"])  # heads that share keys and values
        keys, queries = maps["W_K"].repeat_interleave(shared, 0), maps["W_Q"]
        out = einsum(
            read,
            maps["W_V"].repeat_interleave(shared, 0),
            maps["W_O"],
            "row d, head d k, head k out -> row head out",
        )
        norms = {
            "ov": out.norm(dim=-1),
            "query": einsum(read, queries, "row d, head d k -> row head k").norm(dim=-1),
            "key": einsum(read, keys, "row d, head d k -> row head k").norm(dim=-1),
        }
        for head in range(heads):
            row: dict[str, int | float] = {"layer": layer, "head": head}
            for name, by_row in norms.items():
                own, random = by_row[0, head], by_row[1:, head]
                row[name] = float(own / random.mean())
                row[f"{name}_high"] = float(random.quantile(0.975) / random.mean())
            rows.append(row)
    return pd.DataFrame(rows)


_MAPS = ("W_Q", "W_K", "W_V", "W_O")


def _z(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


def _mlp(layer: int) -> str:
    return f"blocks.{layer}.hook_mlp_out"
