from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from workbench.figures import draw_losses


@dataclass
class Run:
    losses: list[float] = field(default_factory=lambda: [8.0, 4.0, 1.0, 2.0])
    step: int = 2
    loss: float = 1.0
    label: str = ""


def lines(figure):
    return [trace for trace in figure.data if "lines" in trace.mode and trace.legendgroup]


def stars(figure):
    return [trace for trace in figure.data if trace.marker.symbol == "star"]


def test_a_line_a_run_with_its_kept_vector_marked() -> None:
    figure = draw_losses([Run(label="a"), Run([3.0, 2.5], 1, 2.5, "b")])
    assert [line.name for line in lines(figure)] == ["a", "b"]
    assert list(lines(figure)[0].x) == [0, 1, 2, 3]
    assert list(lines(figure)[0].y) == [8, 4, 1, 2]
    assert [(star.x[0], star.y[0]) for star in stars(figure)] == [(2, 1), (1, 2.5)]
    assert lines(figure)[0].line.color != lines(figure)[1].line.color
    assert figure.layout.yaxis.title.text == "loss, nats"
    assert figure.layout.xaxis.title.text == "step"
    assert figure.layout.showlegend
    assert figure.layout.meta["caption"].startswith("2 runs.")


def test_takes_one_run_a_mapping_or_labels() -> None:
    assert not draw_losses(Run()).layout.showlegend
    assert "one" in draw_losses(Run(label="one")).layout.title.text
    assert [t.name for t in lines(draw_losses({"x": Run(), "y": Run()}))] == ["x", "y"]
    assert [t.name for t in lines(draw_losses([Run(), Run()]))] == ["run 1", "run 2"]
    assert [t.name for t in lines(draw_losses([Run()], labels=["z"]))] == ["z"]
    with pytest.raises(ValueError, match="2 labels for 1"):
        draw_losses([Run()], labels=["a", "b"])
    with pytest.raises(ValueError, match="no runs"):
        draw_losses([])


def test_names_of_runs_come_from_their_vectors() -> None:
    @dataclass
    class Bare:
        losses: list[float]
        step: int
        loss: float
        vector: Run

    figure = draw_losses([Bare([1.0, 2.0], 0, 1.0, Run(label="mine"))])
    assert [line.name for line in lines(figure)] == ["mine"]


def test_equal_and_hostile_labels() -> None:
    figure = draw_losses([Run(label="<b>a</b>")] * 3)
    names = [line.name for line in lines(figure)]
    assert len(set(names)) == 3
    assert not any("<b>" in text for trace in figure.data for text in (trace.hovertemplate,))


def test_missing_losses_are_gaps() -> None:
    figure = draw_losses(Run([5.0, math.nan, math.inf, 1.0], 1, math.nan))
    assert list(lines(figure)[0].y) == [5, None, None, 1]
    assert lines(figure)[0].connectgaps is False
    assert not stars(figure)  # what was kept has no loss to stand on
    logged = draw_losses(Run([5.0, 0.0, -1.0, 1.0], 3), log_y=True)
    assert list(lines(logged)[0].y) == [5, None, None, 1]
    assert logged.layout.yaxis.type == "log"


def test_the_vector_after_the_last_step_ends_the_line() -> None:
    @dataclass
    class Longer(Run):
        last_loss: float = 0.5

    figure = draw_losses(Longer(step=4, loss=0.5))
    assert list(lines(figure)[0].y) == [8, 4, 1, 2, 0.5]
    assert (stars(figure)[0].x[0], stars(figure)[0].y[0]) == (4, 0.5)
    assert figure.layout.xaxis.range[1] > 4


def test_target() -> None:
    (target,) = [trace for trace in draw_losses(Run(), target=2).data if trace.line.dash == "dash"]
    assert list(target.y) == [2, 2]
    assert target.name == "target 2"
    assert draw_losses(Run(), target=2).layout.showlegend


def test_more_runs_than_colours_are_told_apart() -> None:
    drawn = lines(draw_losses([Run() for _ in range(20)]))
    assert len({(line.line.color, line.line.dash) for line in drawn}) == 20
