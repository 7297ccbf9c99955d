"""Write a figure as a picture: PNG, SVG or PDF, through kaleido (extra `export`) and a Chrome."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

from workbench.figures.theme import themed
from workbench.files import written_whole

FORMATS = ("png", "svg", "pdf")


def export(
    figure: go.Figure,
    path: str | Path,
    *,
    width: int = 720,
    scale: int | float = 2,
    theme: Literal["light", "dark"] = "light",
) -> Path:
    """Write the figure whole or not at all; the ending of `path` says the format.

    `width` is in pixels, the height is the figure's own; `scale` multiplies a PNG's pixels. Raises
    ValueError for another ending, and RuntimeError where kaleido or a Chrome is missing.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"{path} must end in one of {', '.join('.' + each for each in FORMATS)}")
    if find_spec("kaleido") is None:
        raise RuntimeError('pictures are made by kaleido: pip install "steering-workbench[export]"')
    try:
        made = themed(figure, theme).to_image(format=kind, width=width, scale=float(scale))
    except (RuntimeError, OSError) as error:
        if "chrome" not in f"{type(error).__name__} {error}".lower():
            raise
        raise RuntimeError(
            "kaleido found no Chrome to draw with: install Chrome or Chromium, or run "
            "plotly_get_chrome"
        ) from error
    with written_whole(path) as part:
        part.write_bytes(made)
    return Path(path)
