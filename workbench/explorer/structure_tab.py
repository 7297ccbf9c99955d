"""Structure: two sets of prompts in a plane of their activations, by layer, with the vectors."""

from __future__ import annotations

from functools import partial
from typing import Any

import ipywidgets as ipw

from workbench.analysis import ActivationStructure, activation_structure
from workbench.explorer.markup import words
from workbench.explorer.parts import LABELLED, ROW, Ground, button, text_box
from workbench.explorer.worker import Task
from workbench.figures import draw_plane, draw_separation
from workbench.models import chat

FOLDS = 5
NAMES = ("first", "second")


class StructureTab:
    """Prompts, one a line; the plane of one layer; the separation of all of them below."""

    def __init__(self, ground: Ground, prompts: tuple[list[str], list[str]] = ([], [])):
        self.ground = ground
        self.boxes = [text_box(f"{name} set, a prompt a line", 6) for name in NAMES]
        for box, given in zip(self.boxes, prompts, strict=True):
            box.value = "\n".join(given)
        layers = ground.state.layers
        self.layer = ipw.IntSlider(
            value=len(layers) // 2, min=0, max=layers[-1], description="layer", style=LABELLED
        )
        self.layer.observe(lambda change: self.turn_to(), "value")
        read = button("Read", "Read both sets at every layer", self.look, "primary")
        self.plane, self.separation = ground.chart(), ground.chart()
        self.chosen = ipw.HTML()
        self.widget = ipw.VBox(
            [
                ipw.HBox(self.boxes, layout=ROW),
                ipw.HBox([read, self.layer], layout=ROW),
                self.plane.widget,
                self.chosen,
                self.separation.widget,
            ]
        )
        self._found: ActivationStructure | None = None

    def look(self) -> None:
        """Read the activations of both sets."""
        self.ground.long.ask("structure", self.ground.alone(self._look))

    def turn_to(self) -> None:
        """Show the plane of the layer chosen."""
        if self._found is not None:
            self.ground.quick.ask("plane", lambda task: self._draw())

    def _look(self, task: Task) -> None:
        state = self.ground.state
        self.ground.calm()
        sets = [[line for line in box.value.splitlines() if line.strip()] for box in self.boxes]
        groups = {
            name: [chat(state.model, each) if state.chat else each for each in some]
            for name, some in zip(NAMES, sets, strict=True)
        }
        self._found = activation_structure(state.model, groups, folds=FOLDS)
        if not task.stopped:
            self.separation.show(draw_separation(self._found))
            self._draw()

    def _draw(self) -> None:
        assert self._found is not None
        layer = int(self.layer.value)
        here = [v for v in self.ground.state.vectors if layer in v.layers]
        clicked = [partial(self._clicked, number) for number in range(len(NAMES))]
        self.plane.show(draw_plane(self._found.plane(layer), here), clicked)

    def _clicked(self, number: int, point: Any) -> None:
        """A point: one of a set's prompts, in their order."""
        if self._found is not None:
            of_set = [
                prompt
                for prompt, group in zip(self._found.prompts, self._found.groups, strict=True)
                if group == NAMES[number]
            ]
            self.chosen.value = words(of_set[int(point)])
