"""An interactive panel for notebooks: steer, look inside, compare vectors, see sets of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector

__all__ = ["explore"]


def explore(
    model: HookedModel,
    vectors: SteeringVector | Iterable[SteeringVector] | None = None,
    prompts: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """An interactive panel on `model`, to be shown by a notebook's cell (extra `notebook`).

    A `panel.Explorer`, which is a box of ipywidgets. `vectors` stand in its list. `prompts`: one to
    begin with; or two named sets, for the tab of activation structure. Raises ModuleNotFoundError
    without ipywidgets and anywidget, ValueError for a vector that does not fit the model, and for
    sets that are not two.
    """
    try:
        import anywidget  # noqa: F401  # what Plotly's widgets are made of
        import ipywidgets  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the explorer needs ipywidgets and anywidget: "
            "pip install 'steering-workbench[notebook]'"
        ) from error
    from workbench.explorer.panel import panel_of

    return panel_of(model, vectors, prompts)
