"""Optimize a vector from what is in the boxes, its loss drawn as it falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw
import plotly.graph_objects as go

from workbench.explorer.parts import LABELLED, ROW, Ground, button, text_box
from workbench.explorer.vector_list import VectorList
from workbench.explorer.worker import Task, turn
from workbench.figures import theme

if TYPE_CHECKING:
    from workbench.methods.one_shot.descent import Descent

STOPPED = {"steps": "all steps taken", "target": "low enough", "callback": "stopped"}


class OptimizeBox:
    """Promote, suppress, layer, steps; a curve; the vector appears in the list."""

    def __init__(self, ground: Ground, vectors: VectorList):
        self.ground, self.vectors = ground, vectors
        layers = ground.state.layers
        self.promote = text_box("promote", 2, "what it is to say")
        self.suppress = text_box("suppress", 2, "what it is not to say")
        self.layer = ipw.IntSlider(
            value=len(layers) // 2, min=0, max=layers[-1], description="layer", style=LABELLED
        )
        self.steps = ipw.IntSlider(value=30, min=1, max=200, description="steps", style=LABELLED)
        self.norm = ipw.FloatText(value=15.0, description="largest norm", style=LABELLED)
        self.start = button(
            "Optimize a vector", "Gradient descent on this one prompt", self.run, "primary"
        )
        self.status = ipw.Label("")
        self.curve = ground.chart()
        self.widget = ipw.VBox(
            [
                ipw.HBox([self.promote, self.suppress], layout=ROW),
                ipw.HBox([self.layer, self.steps, self.norm, self.start], layout=ROW),
                self.status,
                self.curve.widget,
            ]
        )

    def run(self) -> None:
        """Optimize with what the boxes hold."""
        self.ground.long.ask("optimize", self._optimize)

    def _optimize(self, task: Task) -> None:
        from workbench.methods import Example, optimize  # the panel stands there before these do

        state = self.ground.state
        self.ground.calm()
        example = Example(
            state.text(),
            promote=[self.promote.value] if self.promote.value else [],
            suppress=[self.suppress.value] if self.suppress.value else [],
        )

        def seen(descent: Descent) -> bool:
            losses = [each.loss for each in descent.history]
            self.curve.show(_curve(losses))
            self.status.value = f"step {len(losses) - 1}: loss {losses[-1]:.3f} nats"
            return task.stopped

        with turn(state.model):
            run = optimize(
                state.model,
                example,
                int(self.layer.value),
                steps=int(self.steps.value),
                learning_rate=0.5,
                max_norm=float(self.norm.value),
                target_loss=0.3,
                seed=state.seed,
                progress=False,
                callback=seen,
            )
        losses = [*run.losses, run.loss] if run.step == len(run.losses) else list(run.losses)
        self.curve.show(_curve(losses))  # with the last vector's, which no step followed
        words = (self.promote.value or f"not {self.suppress.value}").strip()
        state.add(run.vector.labelled(words[:40]))
        self.vectors.draw()
        why = STOPPED.get(run.stopped, run.stopped)
        self.status.value = f"{why}; best at step {run.step}: loss {run.loss:.3f} nats"
        state.tell()


def _curve(losses: list[float]) -> go.Figure:
    line = go.Scatter(y=losses, mode="lines+markers", line={"color": theme.BLUE}, name="loss")
    figure = go.Figure(line)
    figure.update_xaxes(title={"text": "steps taken"})
    figure.update_yaxes(title={"text": "loss, nats"}, rangemode="tozero")
    return theme.finish(
        figure, title="Loss", caption="Summed over the completions.", plot_height=150, below=46
    )
