"""Draw maps of heads by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import theme
from workbench.figures.attribution import NEEDED
from workbench.figures.heatmap import signed_heatmap
from workbench.figures.intervals import check_columns

if TYPE_CHECKING:
    from workbench.analysis.heads import IndirectEffects


def draw_head_map(
    means: pd.DataFrame, *, title: str = "What each head adds to the change, in logits"
) -> go.Figure:
    """Draw the heads' parts as a map, head by layer, its colours symmetric about 0.

    `means`: the frame of `Attribution.means`. Raises ValueError where there is no head.
    """
    check_columns(means, NEEDED, "parts")
    heads = means[means["kind"] == "attention head"]
    if heads.empty:
        raise ValueError("there are no attention heads in this frame")
    table = heads.pivot(index="head", columns="layer", values="mean")
    return _map(
        table.to_numpy(),
        [int(layer) for layer in table.columns],
        [str(int(head)) for head in table.index],
        title,
        f"Mean of {_prompts(int(means['n'].iloc[0]))}; promoted less suppressed.",
    )


def draw_indirect_effects(
    effects: IndirectEffects,
    which: Literal["enough", "needed"] = "enough",
    *,
    title: str | None = None,
) -> go.Figure:
    """Draw what each head's and each MLP's output does when patched, part by layer.

    `which`: steered outputs put into the unsteered run, or unsteered ones into the steered run.
    """
    if which not in ("enough", "needed"):
        raise ValueError(f'which must be "enough" or "needed", got {which!r}')
    values = effects.enough if which == "enough" else effects.needed
    into = "into the unsteered run" if which == "enough" else "from the unsteered run"
    words = "steered output put" if which == "enough" else "output taken"
    return _map(
        values.mean(axis=0).T,
        list(effects.layers),
        [*map(str, range(effects.n_heads)), "MLP"],
        title or f"Heads and MLPs, {words} {into}",
        f"Mean of {_prompts(len(effects.whole))}. Steering itself changes the difference by "
        f"{effects.whole.mean():+.2f} logits.",
    )


def _map(
    values: Float[np.ndarray, "part layer"],
    layers: Sequence[int],
    parts: Sequence[str],
    title: str,
    caption: str,
) -> go.Figure:
    names = [
        [f"{'MLP' if part == 'MLP' else f'head {part}'} of layer {layer}" for layer in layers]
        for part in parts
    ]
    figure = go.Figure(signed_heatmap(values, names, "logits"))
    across = list(range(0, len(layers), max(1, -(-len(layers) // 15))))
    down = sorted({*range(0, len(parts), max(1, -(-len(parts) // 17))), len(parts) - 1})
    figure.update_xaxes(
        title={"text": "layer"},
        tickmode="array",
        tickvals=across,
        ticktext=[str(layers[i]) for i in across],
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        title={"text": "head"},
        tickmode="array",
        tickvals=down,
        ticktext=[parts[i] for i in down],
        range=[len(parts) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    return theme.finish(
        figure,
        title=title,
        caption=caption,
        plot_height=min(max(22 * len(parts), 150), 480),
        left=64,
        right=84,
        below=46,
    )


def _prompts(n: int) -> str:
    return f"{n} prompt{'s' if n > 1 else ''}"
