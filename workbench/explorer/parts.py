"""What the tabs share: the panel's common ground, and labelled controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ipywidgets as ipw

from workbench.explorer.chart import Chart
from workbench.explorer.interrupt import heed_interrupts
from workbench.explorer.markup import error
from workbench.explorer.state import State
from workbench.explorer.surroundings import Surroundings
from workbench.explorer.worker import Task, Worker, turn

WIDE = ipw.Layout(width="auto", flex="1 1 320px", min_width="200px")
ROW = ipw.Layout(flex_flow="row wrap", align_items="center")
SIDE_BY_SIDE = ipw.Layout(flex_flow="row wrap", align_items="flex-start")
# What takes long enough to be told of.
DOING = {
    "answer": "writing the answers …",
    "optimize": "optimizing …",
    "lens": "reading every layer …",
    "cell": "looking behind the cell …",
    "structure": "reading both sets …",
}
LABELLED = {"description_width": "initial"}


@dataclass(eq=False)
class Ground:
    """One panel's state, its workers, and the place where errors are shown.

    `quick` answers what a slider asks while `long` generates or optimizes; `doing` says what they
    are at.
    """

    state: State
    quick: Worker
    long: Worker
    alert: ipw.HTML
    doing: ipw.Label
    surroundings: Surroundings

    @classmethod
    def of(cls, state: State) -> Ground:
        """Workers whose errors are shown in the panel."""
        alert, doing = ipw.HTML(), ipw.Label()
        now: dict[str, str] = {}

        def failed(message: str) -> None:
            alert.value = error(message)

        def begun(who: str, kind: str) -> None:
            now[who] = DOING.get(kind, "")
            doing.value = " ".join(filter(None, now.values()))

        quick, long = (Worker(failed, partial(begun, who)) for who in ("quick", "long"))
        for worker in (quick, long):
            heed_interrupts(worker)
        return cls(state, quick, long, alert, doing, Surroundings())

    def chart(self, hint: str = "") -> Chart:
        """A place for figures; `hint` stands there until there is one."""
        return Chart(self.surroundings, hint)

    def calm(self) -> None:
        """Take the last error away."""
        self.alert.value = ""

    def alone(self, work: Callable[[Task], None]) -> Callable[[Task], None]:
        """Work that has the model to itself for all of its time."""

        def done(task: Task) -> None:
            with turn(self.state.model):
                if not task.stopped:
                    work(task)

        return done


def text_box(label: str, rows: int = 3, placeholder: str = "") -> ipw.Textarea:
    """A box for text, named for screen readers."""
    return ipw.Textarea(
        description=label, placeholder=placeholder, rows=rows, style=LABELLED, layout=WIDE
    )


def button(label: str, hint: str, pressed: Callable[[], None], style: str = "") -> ipw.Button:
    """A button with a hint."""
    made = ipw.Button(description=label, tooltip=hint, button_style=style)
    made.on_click(lambda _: pressed())
    return made
