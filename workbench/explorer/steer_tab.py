"""Steer: the next token's likeliest as a slider moves, and both answers as they are written."""

from __future__ import annotations

import ipywidgets as ipw

from workbench.explorer.markup import coloured, table, words
from workbench.explorer.next_token import NextToken
from workbench.explorer.parts import LABELLED, ROW, SIDE_BY_SIDE, WIDE, Ground, button
from workbench.explorer.state import KINDS, OWN_LAYER, POSITIONS
from workbench.explorer.worker import Task, turn
from workbench.models.hooked import weights_version
from workbench.steering import StreamedToken, stream
from workbench.steering.interventions import Steering

TOP = 5


class SteerTab:
    """How vectors act, the likeliest next tokens, and unsteered and steered answers."""

    def __init__(self, ground: Ground):
        self.ground = ground
        state = ground.state
        controls: dict[str, ipw.Widget] = {
            "kind": ipw.Dropdown(options=KINDS, value=state.kind, description="does"),
            "positions": ipw.Dropdown(
                options=list(POSITIONS), value=state.positions, description="at"
            ),
            "layer": ipw.Dropdown(
                options=[OWN_LAYER, *state.layers], value=state.layer, description="layer"
            ),
            "tokens": ipw.IntSlider(value=state.tokens, min=1, max=256, description="tokens"),
            "temperature": ipw.FloatSlider(
                value=state.temperature, min=0.0, max=2.0, step=0.1, description="temperature"
            ),
            "seed": ipw.IntText(value=state.seed, description="seed"),
        }
        for name, control in controls.items():
            control.style.description_width = "initial"
            wanted = 210 if isinstance(control, ipw.IntSlider | ipw.FloatSlider) else 140
            control.layout = ipw.Layout(
                width="auto", flex=f"1 1 {wanted}px", min_width="100px", max_width="320px"
            )
            control.observe(lambda change, name=name: self._set(name, change["new"]), "value")
        self.controls = controls
        self.top = ipw.HTML()
        self.unsteered, self.steered = ipw.HTML(), ipw.HTML()
        self.generate = button(
            "Generate", "Write both answers, token by token", self.run, "primary"
        )
        self.stop = button("Stop", "Stop what is running", self.halt)
        self.status = ipw.Label("", style=LABELLED)
        self.widget = ipw.VBox(
            [
                ipw.HBox(list(controls.values()), layout=ROW),
                ipw.HBox([self.generate, self.stop, self.status], layout=ROW),
                self.top,
                ipw.HBox(
                    [_named("Unsteered", self.unsteered), _named("Steered", self.steered)],
                    layout=SIDE_BY_SIDE,
                ),
            ]
        )
        self._unsteered: tuple[tuple[str, int], list[tuple[str, str]]] | None = None
        self._next = NextToken(state.model)
        state.changed.append(self.look)

    def run(self) -> None:
        """Write both answers."""
        self.ground.long.ask("answer", self._answer)

    def halt(self) -> None:
        """Stop within one token."""
        self.ground.long.stop()
        self.status.value = "stopped"

    def look(self) -> None:
        """Show the likeliest next tokens."""
        self.ground.quick.ask("top", self.ground.alone(self._look))

    def _set(self, name: str, value: object) -> None:
        setattr(self.ground.state, name, value)
        self.ground.state.tell()

    def _look(self, task: Task) -> None:
        state = self.ground.state
        if not state.prompt.strip():
            self.top.value = ""
            return
        text, steering = state.text(), state.steering()
        columns = [self._without_steering(text), self._likeliest(text, steering)]
        if task.stopped:
            return
        self.ground.calm()
        self.top.value = table(
            ("next token, unsteered", "", "steered", ""),
            [(*before, *after) for before, after in zip(*columns, strict=True)],
        )

    def _without_steering(self, text: str) -> list[tuple[str, str]]:
        """The likeliest next tokens unsteered: a slider does not change them."""
        key = text, weights_version(self.ground.state.model)
        if self._unsteered is None or self._unsteered[0] != key:
            self._unsteered = key, self._likeliest(text, [])
        return self._unsteered[1]

    def _likeliest(self, text: str, steering: Steering) -> list[tuple[str, str]]:
        """The likeliest next tokens with their probabilities, in words."""
        decode = self.ground.state.model.tokenizer.decode
        return [
            (repr(decode([token])), f"{probability:.1%}")
            for token, probability in self._next.likeliest(text, steering, TOP)
        ]

    def _answer(self, task: Task) -> None:
        state = self.ground.state
        self.ground.calm()
        self.status.value = ""
        text, steering = state.text(), state.steering()
        for name, how, place in (
            ("unsteered", [], self.unsteered),
            ("steered", steering, self.steered),
        ):
            made: list[StreamedToken] = []
            place.value = ""
            # The stream takes its turn for each token, so that sliders are answered in between.
            tokens = stream(
                state.model, text, how, state.tokens, state.temperature, seed=state.seed
            )
            while not task.stopped:
                with turn(state.model):
                    token = next(tokens, None)
                if token is None:
                    break
                made.append(token)
                place.value = coloured(made) if how else words("".join(t.text for t in made))
                self.status.value = f"{name}: {len(made)} tokens"
            tokens.close()
            if task.stopped:
                self.status.value = f"stopped after {len(made)} tokens, {name}"
                return
        self.status.value = "done"


def _named(title: str, inside: ipw.Widget) -> ipw.VBox:
    return ipw.VBox([ipw.HTML(f"<b>{title}</b>"), inside], layout=WIDE)
