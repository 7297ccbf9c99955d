"""Draw a text as a strip of tokens, each coloured by a value: surprisal, contribution, change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import colorbar
from workbench.figures.text import columns, hover_text, plain, shorten

_COLUMNS = 64  # characters a line
_LINE = 26  # pixels
_MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_SIGNS = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"})
_INK, _PAPER = "#1f2933", "#ffffff"


def draw_token_strip(
    tokens: Sequence[str],
    values: Sequence[float | int | None],
    *,
    unit: str = "nats",
    title: str = "Surprisal of each token",
    signed: bool | None = None,
) -> go.Figure:
    """Draw tokens in reading order, each on a field coloured by its value; grey where missing.

    The scale is symmetric about 0 where values are `signed` (by default: where one is negative).
    Raises ValueError where tokens and values do not pair, or there are none.
    """
    if len(tokens) != len(values) or not tokens:
        raise ValueError(f"{len(tokens)} tokens for {len(values)} values")
    read = [None if v is None or not math.isfinite(v) else float(v) for v in values]
    known = [value for value in read if value is not None]
    both = any(value < 0 for value in known) if signed is None else signed
    most = max((abs(value) for value in known), default=0.0) or 1.0
    low = -most if both else 0.0
    scale = theme.DIVERGING if both else "Oranges"
    fields = _placed(tokens)
    lines = fields[-1][0] + 1

    figure = go.Figure()
    for known_ones in (True, False):
        some = [i for i, value in enumerate(read) if (value is not None) == known_ones]
        if not some:
            continue
        shown = [read[i] or 0.0 for i in some]
        inks = [_ink(_colour(scale, (value - low) / (most - low))) for value in shown]
        colours = {
            "color": shown,
            "colorscale": scale,
            "cmin": low,
            "cmax": most,
            "showscale": True,
            "colorbar": {**colorbar(plain(unit)), "nticks": 4},
        }
        # One trace of bars: a shape and a note for each token take a minute for a long text.
        figure.add_bar(
            orientation="h",
            base=[fields[i][1] for i in some],
            x=[fields[i][2] for i in some],
            y=[fields[i][0] for i in some],
            width=0.84,
            marker=colours if known_ones else {"color": theme.BAND},
            text=[plain(_visible(tokens[i])) for i in some],
            textposition="inside",
            insidetextanchor="middle",
            constraintext="none",
            textangle=0,
            insidetextfont={
                "family": _MONO,
                "size": 11,
                "color": inks if known_ones else theme.GREY,
            },
            customdata=[
                f"{hover_text(tokens[i])}<br>"
                + (f"{read[i]:.3g} {plain(unit)}" if known_ones else "missing")
                for i in some
            ],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(visible=False, range=[-0.3, _COLUMNS + 0.3], fixedrange=True)
    figure.update_yaxes(visible=False, range=[lines - 0.4, -0.6], fixedrange=True)
    gone = len(values) - len(known)
    absent = (
        f" {gone} {'token has' if gone == 1 else 'tokens have'} no value (grey)." if gone else ""
    )
    return theme.finish(
        figure,
        title=title,
        caption=f"{len(tokens)} tokens.{_meaning(tokens)}{absent}",
        plot_height=max(_LINE * lines, 84),
        left=theme.MARGIN,
        right=80,
        below=8,
        min_width=620,
    )


def _meaning(tokens: Sequence[str]) -> str:
    """What the signs mean that these tokens are written with."""
    shown = "".join(map(_visible, tokens))
    words = {"␣": "space", "↵": "line break", "⇥": "tab", "␍": "carriage return", "∅": "nothing"}
    said = ", ".join(f"{sign}: {word}" for sign, word in words.items() if sign in shown)
    return f" {said}." if said else ""


def _placed(tokens: Sequence[str]) -> list[tuple[int, float, float]]:
    """Line, start and width in characters of each token, broken at `_COLUMNS`."""
    found = []
    line, at = 0, 0.0
    for token in tokens:
        width = columns(_visible(token)) + 0.6
        if at and at + width > _COLUMNS:
            line, at = line + 1, 0.0
        found.append((line, at, min(width, float(_COLUMNS))))
        at += width + 0.15
    return found


def _visible(token: str) -> str:
    shown = token.translate(_SIGNS)
    return shorten(shown, _COLUMNS - 2) if shown else "∅"


def _colour(scale: str, at: float) -> str:
    from plotly.colors import sample_colorscale

    return sample_colorscale(scale, [min(max(at, 0.0), 1.0)])[0]


def _ink(fill: str) -> str:
    """Dark ink on light fields, light ink on dark ones."""
    red, green, blue = (float(part) for part in fill[4:-1].split(","))
    return _INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _PAPER
