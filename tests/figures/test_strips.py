"""A strip has a field for each token, its colour says the value, and its text is escaped."""

import math

import pytest

from workbench.figures import draw_token_strip


def notes(figure):
    return [note for note in figure.layout.annotations if note.name != "caption"]


def test_every_token_has_a_field_and_a_hover():
    figure = draw_token_strip([" the", "<b>", "\n", "\t"], [0.0, 2.0, math.nan, None])
    assert [note.text for note in notes(figure)] == ["␣the", "&lt;b&gt;", "↵", "⇥"]
    assert len(figure.layout.shapes) == 4
    assert "<b>" not in str(figure.to_dict())
    (dots,) = figure.data
    assert "2 nats" in dots.customdata[1]
    assert ["missing" in text for text in dots.customdata] == [False, False, True, True]
    fills = [shape.fillcolor for shape in figure.layout.shapes]
    assert fills[0] != fills[1]
    assert fills[2] == fills[3]
    assert "2 tokens have no value" in figure.layout.meta["caption"]


def test_signed_values_have_a_symmetric_scale():
    (dots,) = draw_token_strip(["a", "b"], [-1.0, 3.0], unit="logits").data
    assert (dots.marker.cmin, dots.marker.cmax) == (-3.0, 3.0)
    (dots,) = draw_token_strip(["a", "b"], [1.0, 3.0]).data
    assert (dots.marker.cmin, dots.marker.cmax) == (0.0, 3.0)


def test_long_texts_are_broken_into_lines_that_fit():
    figure = draw_token_strip([" word"] * 60, [1.0] * 60)
    assert max(shape.x1 for shape in figure.layout.shapes) <= 64.5
    lines = {round(note.y) for note in notes(figure)}
    assert lines == set(range(len(lines)))
    assert len(lines) > 4


def test_ink_can_be_read_on_its_field():
    figure = draw_token_strip(["low", "high"], [0.0, 9.0])
    light, dark = (note.font.color for note in notes(figure))
    assert light != dark


def test_what_does_not_pair_is_refused():
    with pytest.raises(ValueError, match="2 tokens for 1 values"):
        draw_token_strip(["a", "b"], [1.0])
    with pytest.raises(ValueError, match="0 tokens"):
        draw_token_strip([], [])
