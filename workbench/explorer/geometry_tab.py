"""Geometry: how the listed vectors lie; a click shows where two come from and what they say."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

from workbench.analysis import CosineGeometry, cosine_geometry, vector_lens
from workbench.explorer.markup import table, words
from workbench.explorer.parts import ROW, SIDE_BY_SIDE, WIDE, Ground, button
from workbench.explorer.worker import Task
from workbench.figures import draw_cosine_geometry
from workbench.steering import SteeringVector

PROMOTED = 8


class GeometryTab:
    """The cosine map of all vectors in the list, on or off."""

    def __init__(self, ground: Ground):
        self.ground = ground
        draw = button("Draw", "Compare all vectors of the list", self.look)
        self.clustered = ipw.Checkbox(value=False, description="clustered", indent=False)
        self.map = ground.chart("Draw compares the vectors of the list; it takes two or more.")
        self.pair = ipw.HBox(layout=SIDE_BY_SIDE)
        self.widget = ipw.VBox(
            [ipw.HBox([draw, self.clustered], layout=ROW), self.map.widget, self.pair]
        )
        self._found: CosineGeometry | None = None
        self._vectors: list[SteeringVector] = []

    def look(self) -> None:
        """Draw the map."""
        self.ground.quick.ask("geometry", lambda task: self._look(task))

    def _look(self, task: Task) -> None:
        vectors = self.ground.state.vectors
        self.ground.calm()
        if len(vectors) < 2:
            raise ValueError(f"there are {len(vectors)} vectors in the list: two can be compared")
        clustered = bool(self.clustered.value) and len(vectors) > 2
        several = len({vector.layers for vector in vectors}) > 1
        self._vectors = vectors
        self._found = cosine_geometry(
            vectors, order="clustered" if clustered else "given", across_layers=several
        )
        title = "Cosine between vectors of different layers" if several else "Cosine"
        self.map.show(draw_cosine_geometry(self._found, title=title), [self._clicked])
        self.pair.children = []

    def _clicked(self, cell: Any) -> None:
        if self._found is not None:
            row, column = cell
            order = list(self._found.order)
            self.open(order[int(row)], order[int(column)])

    def open(self, first: int, second: int) -> None:
        """Show two vectors: where they come from, and the tokens that they promote."""
        both = dict.fromkeys((first, second))
        self.ground.quick.ask(
            "pair", self.ground.alone(lambda task: self._open([self._vectors[i] for i in both]))
        )

    def _open(self, vectors: list[SteeringVector]) -> None:
        self.pair.children = [
            ipw.VBox([ipw.HTML(_about(vector)), ipw.HTML(self._says(vector))], layout=WIDE)
            for vector in vectors
        ]

    def _says(self, vector: SteeringVector) -> str:
        lens = vector_lens(self.ground.state.model, vector, k=PROMOTED)
        rows = [
            (up.token, f"{up.z:+.1f}", down.token, f"{down.z:+.1f}")
            for up, down in zip(lens.promoted, lens.suppressed, strict=True)
        ]
        return table(("promotes", "z", "suppresses", "z"), rows)


def _about(vector: SteeringVector) -> str:
    made = vector.provenance
    given = [item for each in made.examples for item in dict(each).items() if item[1]]
    examples = "\n".join(f"{name}: {value!r}" for name, value in given)[:600]
    return words(
        f"{vector.label}\nlayer {vector.layer}, norm {vector.norm:.3g}\n"
        f"{made.method}, seed {made.seed}, {made.created or 'no date'}\n{examples}"
    )
