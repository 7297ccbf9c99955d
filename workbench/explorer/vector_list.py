"""The list of vectors: a switch and a slider each; save and load."""

from __future__ import annotations

import ipywidgets as ipw

from workbench.explorer.parts import LABELLED, ROW, Ground, button
from workbench.explorer.state import Entry
from workbench.steering.formats import read_vectors

LARGEST = 4.0


class VectorList:
    """A row for each of the state's vectors, made anew when one is added."""

    def __init__(self, ground: Ground):
        self.ground = ground
        self.rows = ipw.VBox()
        self.folder = ipw.Text(
            description="Folder or file", value="vectors", style=LABELLED, placeholder="vectors"
        )
        save = button("Save", "Write all vectors to the folder", self.save)
        load = button("Load", "Read vectors from the folder or file", self.load)
        self.widget = ipw.VBox(
            [self.rows, ipw.HBox([self.folder, save, load, ground.doing], layout=ROW)],
        )
        self.draw()

    def draw(self) -> None:
        """Make the rows anew."""
        entries = self.ground.state.entries
        self.rows.children = [self._row(entry) for entry in entries] or [
            ipw.HTML("<i>No vectors yet: optimize one below, or load some.</i>")
        ]

    def save(self) -> None:
        """Write the vectors; what goes wrong is shown."""
        self.ground.long.ask("files", lambda task: self._save())

    def load(self) -> None:
        """Read vectors; what goes wrong is shown."""
        self.ground.long.ask("files", lambda task: self._load())

    def _save(self) -> None:
        self.ground.calm()
        self.ground.state.save(self.folder.value.strip() or "vectors")
        self.ground.state.tell()

    def _load(self) -> None:
        self.ground.calm()
        state = self.ground.state
        state.load(read_vectors(self.folder.value.strip() or "vectors"))
        self.draw()
        state.tell()

    def _row(self, entry: Entry) -> ipw.HBox:
        state, vector = self.ground.state, entry.vector
        on = ipw.Checkbox(
            value=entry.on,
            description=f"{vector.label}, layer {vector.layer}, norm {vector.norm:.3g}",
            indent=False,
            style=LABELLED,
            layout=ipw.Layout(width="auto", flex="1 1 220px"),
        )
        scale = ipw.FloatSlider(
            value=entry.scale,
            min=-LARGEST,
            max=LARGEST,
            step=0.05,
            description="scale",
            tooltip=f"scale of {vector.label}",
            style=LABELLED,
            readout_format=".2f",
            layout=ipw.Layout(flex="1 1 220px"),
        )

        def changed(change: object) -> None:
            entry.on, entry.scale = bool(on.value), float(scale.value)
            state.tell()

        on.observe(changed, "value")
        scale.observe(changed, "value")
        return ipw.HBox([on, scale], layout=ROW)
