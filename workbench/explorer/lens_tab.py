"""Lens: what the model would say at each layer, steered or not; a click shows what is behind it."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

from workbench.analysis import LogitLens, attribute, logit_lens
from workbench.analysis.vector_lens import visible_token
from workbench.explorer.markup import table, words
from workbench.explorer.next_token import likeliest
from workbench.explorer.parts import LABELLED, ROW, SIDE_BY_SIDE, WIDE, Ground, button
from workbench.explorer.worker import Task
from workbench.figures import draw_attribution, draw_lens_change, draw_logit_lens
from workbench.models.hooked import HookedModel, weights_version
from workbench.models.text import completion_ids, prompt_ids
from workbench.steering.interventions import Steering

VIEWS = ("steered", "unsteered", "difference")
MOST_POSITIONS = 40
LONGEST = 1000  # tokens; each layer holds a number for every token and every word, some times


class LensTab:
    """The grid of the current prompt, its last positions."""

    def __init__(self, ground: Ground):
        self.ground = ground
        self.view = ipw.ToggleButtons(
            options=VIEWS,
            tooltips=[f"Show the {view} grid" for view in VIEWS],
            style={"button_width": "auto"},
            layout=ipw.Layout(width="auto"),
        )
        self.view.observe(lambda change: self.look(), "value")
        self.follow = ipw.Checkbox(value=False, description="follow changes", indent=False)
        self.target = ipw.Text(
            description="target", placeholder="the text's own next token", style=LABELLED
        )
        draw = button("Draw", "Read every layer at every position of the prompt", self.look)
        self.grid = ground.chart("Draw shows the grid of the current prompt.")
        self.behind, self.cause = ipw.HBox(layout=SIDE_BY_SIDE), ground.chart()
        self.why = ipw.HTML()
        self.widget = ipw.VBox(
            [
                ipw.HBox([self.view, self.target, draw, self.follow], layout=ROW),
                self.grid.widget,
                self.behind,
                self.why,
                self.cause.widget,
            ]
        )
        self._first = 0
        self._lenses: dict[str, LogitLens] = {}
        self._unsteered: tuple[tuple[str, str | None, int], LogitLens] | None = None
        ground.state.changed.append(self._changed)

    def look(self) -> None:
        """Draw the grid."""
        self.ground.quick.ask("lens", self.ground.alone(self._look))

    def _changed(self) -> None:
        if self.follow.value:
            self.look()

    def _look(self, task: Task) -> None:
        state, view = self.ground.state, str(self.view.value)
        self.ground.calm()
        text, steering = state.text(), state.steering()
        length = len(prompt_ids(state.model, text))
        if length > LONGEST:
            raise ValueError(f"the lens reads {LONGEST} tokens at most, and this is {length}")
        target = self.target.value or None
        if view == "difference" and target is None:
            target = _as_completion(state.model, text, _likeliest(state.model, text, steering))
        lenses: dict[str, LogitLens] = {}
        if view != "steered":
            lenses["unsteered"] = self._without_steering(text, target)
        if view != "unsteered":
            lenses["steered"] = logit_lens(
                state.model,
                text,
                steering=steering,
                target=target,
                unsteered=self._held(text, target),
            )
        if task.stopped:
            return
        some = next(iter(lenses.values()))
        self._first = max(0, len(some.tokens) - MOST_POSITIONS)
        self._lenses = lenses
        if view == "difference":
            figure = draw_lens_change(lenses["unsteered"], lenses["steered"], first=self._first)
        else:
            figure = draw_logit_lens(some, first=self._first, title=f"Logit lens, {view}")
        self.grid.show(figure, [self._clicked])
        if self.follow.value and steering:  # for the next move, which then has less to read
            read = self.ground.alone(lambda task: self._ahead(text, target))
            self.ground.quick.ask("ahead", read)
        self.behind.children = ()
        self.cause.clear()
        self.why.value = ""

    def _without_steering(self, text: str, target: str | None) -> LogitLens:
        """The unsteered lens: a slider does not change it."""
        held = self._held(text, target)
        if held is None:
            model = self.ground.state.model
            held = logit_lens(model, text, target=target)
            self._unsteered = (text, target, weights_version(model)), held
        return held

    def _ahead(self, text: str, target: str | None) -> None:
        self._without_steering(text, target)

    def _held(self, text: str, target: str | None) -> LogitLens | None:
        """It, if it has been read."""
        key = text, target, weights_version(self.ground.state.model)
        return self._unsteered[1] if self._unsteered and self._unsteered[0] == key else None

    def _clicked(self, cell: Any) -> None:
        """A cell: rows are layers, columns positions from the first one shown."""
        layer, column = cell
        self.open(int(layer), int(column) + self._first)

    def open(self, layer: int, position: int) -> None:
        """Show the likeliest tokens of a cell, and what steering did to the answer there."""
        self.ground.quick.ask("cell", self.ground.alone(lambda task: self._open(layer, position)))

    def _open(self, layer: int, position: int) -> None:
        state = self.ground.state
        children: list[ipw.Widget] = []
        for name, lens in self._lenses.items():
            rows = [
                (f"'{token}'", f"{probability:.1%}")
                for token, probability in zip(
                    lens.predicted[layer][position],
                    lens.probabilities[layer, position],
                    strict=True,
                )
            ]
            where = f"layer {lens.layers[layer]}, after '{lens.tokens[position]}'_{position}"
            shown = [ipw.HTML(words(f"{name}: {where}")), ipw.HTML(table(("token", ""), rows))]
            children.append(ipw.VBox(shown, layout=WIDE))
        steering = state.steering()
        text = _until(state.model, state.text(), position)
        before, after = (_likeliest(state.model, text, s) for s in ([], steering))
        says, said = (_as_completion(state.model, text, token) for token in (after, before))
        now, then = (visible_token(state.model.tokenizer, token) for token in (after, before))
        if before != after and says and said:
            found = attribute(state.model, [text], says, said, steering)
            title = f"Why “{now}” rather than “{then}” after position {position}"
            self.cause.show(draw_attribution(found.means(), title=title))
            self.why.value = ""
        else:
            self.cause.clear()
            why = "Steering does not change the likeliest token here."
            if before != after:
                why = f"“{then}” and “{now}” are not both tokens of their own after this text."
            self.why.value = words(why)
        self.behind.children = children


def _likeliest(model: HookedModel, text: str, steering: Steering) -> int:
    """The token that follows the text."""
    return likeliest(model, text, steering)[0][0]


def _as_completion(model: HookedModel, text: str, token: int) -> str | None:
    """How a token is written after a text, with the space that some tokenizers do not show."""
    alone = model.tokenizer.decode([token])
    for written in (alone, f" {alone}"):
        try:
            _, ids = completion_ids(model, text, written)
        except ValueError:  # it merges with the text's end
            continue
        if ids == [token]:
            return written
    return None


def _until(model: HookedModel, text: str, position: int) -> str:
    """The text up to a position."""
    ids = prompt_ids(model, text)[: position + 1]
    return model.tokenizer.decode(ids)
