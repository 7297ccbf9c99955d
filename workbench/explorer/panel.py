"""The panel: a prompt and vectors above, four ways of looking below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as ipw

from workbench.explorer.geometry_tab import GeometryTab
from workbench.explorer.lens_tab import LensTab
from workbench.explorer.markup import words
from workbench.explorer.optimize_box import OptimizeBox
from workbench.explorer.parts import ROW, Ground, button, text_box
from workbench.explorer.state import State
from workbench.explorer.steer_tab import SteerTab
from workbench.explorer.structure_tab import StructureTab
from workbench.explorer.vector_list import VectorList
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector

TITLES = ("Steer", "Lens", "Geometry", "Structure")


class Explorer(ipw.VBox):
    """A panel on one model; `state` is what it holds. `close` ends its threads."""

    def __init__(self, state: State, sets: tuple[list[str], list[str]] = ([], [])):
        self.state = state
        self.ground = Ground.of(state)
        self.prompt = text_box("Prompt", 3, "What the model is asked")
        self.prompt.value = state.prompt
        self.as_chat = ipw.Checkbox(value=state.chat, description="chat format", indent=False)
        self.vectors = VectorList(self.ground)
        self.steer = SteerTab(self.ground)
        self.optimize = OptimizeBox(self.ground, self.vectors)
        self.lens = LensTab(self.ground)
        self.geometry = GeometryTab(self.ground)
        self.structure = StructureTab(self.ground, sets)
        self.code = ipw.HTML()
        copy = button(
            "Copy as code", "Print the Python that does what the panel does now", self._code
        )
        self.prompt.observe(self._typed, "value")
        self.as_chat.observe(self._typed, "value")
        steer_page = ipw.VBox([self.steer.widget, ipw.HTML("<hr>"), self.optimize.widget])
        pages = [steer_page, self.lens.widget, self.geometry.widget, self.structure.widget]
        tabs = ipw.Tab(children=pages, titles=TITLES)
        super().__init__(
            [
                ipw.HBox([self.prompt, self.as_chat], layout=ROW),
                self.vectors.widget,
                self.ground.surroundings,
                self.ground.alert,
                tabs,
                ipw.HBox([copy], layout=ROW),
                self.code,
            ]
        )
        self.add_class("steering-explorer")
        if state.prompt:
            state.tell()

    def close(self) -> None:
        """End the panel's threads, and take it out of the page."""
        self.ground.quick.close()
        self.ground.long.close()
        super().close()

    def _typed(self, change: Any) -> None:
        self.state.prompt, self.state.chat = self.prompt.value, bool(self.as_chat.value)
        self.state.tell()

    def _code(self) -> None:
        self.code.value = f"<pre>{words(self.state.code())}</pre>"


def panel_of(
    model: HookedModel,
    vectors: SteeringVector | Iterable[SteeringVector] | None = None,
    prompts: str | Sequence[str] | Mapping[str, Sequence[str]] | None = None,
) -> Explorer:
    """A panel; see `workbench.explore`."""
    state = State(model)
    sets: tuple[list[str], list[str]] = ([], [])
    if isinstance(prompts, Mapping):
        if len(prompts) != 2:
            raise ValueError(f"two sets of prompts are compared, got {len(prompts)}")
        first, second = (list(some) for some in prompts.values())
        sets = (first, second)
    elif prompts is not None:
        state.prompt = prompts if isinstance(prompts, str) else next(iter(prompts), "")
    given = [vectors] if isinstance(vectors, SteeringVector) else list(vectors or ())
    state.load(given)
    return Explorer(state, sets)
