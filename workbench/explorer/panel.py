"""The panel: a prompt and vectors above, four ways of looking below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from workbench.explorer.markup import words
from workbench.explorer.optimize_box import OptimizeBox
from workbench.explorer.parts import ROW, Ground, button, text_box
from workbench.explorer.state import State
from workbench.explorer.steer_tab import SteerTab
from workbench.explorer.vector_list import VectorList
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector

if TYPE_CHECKING:
    from workbench.explorer.geometry_tab import GeometryTab
    from workbench.explorer.lens_tab import LensTab
    from workbench.explorer.structure_tab import StructureTab

TITLES = ("Steer", "Lens", "Geometry", "Structure")


class Explorer(ipw.VBox):
    """A panel on one model; `state` is what it holds. `close` ends its threads.

    The tabs behind the first are made when somebody turns to them: what they import takes as long
    as the rest of the panel.
    """

    def __init__(self, state: State, sets: tuple[list[str], list[str]] = ([], [])):
        self.state, self._sets = state, sets
        self.ground = Ground.of(state)
        self.prompt = text_box("Prompt", 3, "What the model is asked")
        self.prompt.value = state.prompt
        self.as_chat = ipw.Checkbox(value=state.chat, description="chat format", indent=False)
        self.vectors = VectorList(self.ground)
        self.steer = SteerTab(self.ground)
        self.optimize = OptimizeBox(self.ground, self.vectors)
        self.code = ipw.HTML()
        copy = button(
            "Copy as code", "Print the Python that does what the panel does now", self._code
        )
        self.prompt.observe(self._typed, "value")
        self.as_chat.observe(self._typed, "value")
        steer_page = ipw.VBox([self.steer.widget, ipw.HTML("<hr>"), self.optimize.widget])
        self._tabs = ipw.Tab(
            children=[steer_page, *(ipw.VBox() for _ in TITLES[1:])], titles=TITLES
        )
        self._tabs.observe(self._turned, "selected_index")
        super().__init__(
            [
                ipw.HBox([self.prompt, self.as_chat], layout=ROW),
                self.vectors.widget,
                self.ground.surroundings,
                self.ground.alert,
                self._tabs,
                ipw.HBox([copy], layout=ROW),
                self.code,
            ]
        )
        self.add_class("steering-explorer")
        if state.prompt:
            state.tell()

    @cached_property
    def lens(self) -> LensTab:
        """The second tab."""
        from workbench.explorer.lens_tab import LensTab

        return LensTab(self.ground)

    @cached_property
    def geometry(self) -> GeometryTab:
        """The third tab."""
        from workbench.explorer.geometry_tab import GeometryTab

        return GeometryTab(self.ground)

    @cached_property
    def structure(self) -> StructureTab:
        """The fourth tab."""
        from workbench.explorer.structure_tab import StructureTab

        return StructureTab(self.ground, self._sets)

    def close(self) -> None:
        """End the panel's threads, and take it out of the page."""
        self.ground.quick.close()
        self.ground.long.close()
        super().close()

    def _turned(self, change: Any) -> None:
        number = self._tabs.selected_index
        if number:
            tab = getattr(self, TITLES[number].lower())
            self._tabs.children[number].children = [tab.widget]

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
