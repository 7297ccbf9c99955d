"""A strip has a field for each token, its colour says the value, and its text is escaped."""

import math

import pytest

from workbench.figures import draw_token_strip


def texts(figure):
    return [text for trace in figure.data for text in trace.text]


def test_every_token_has_a_field_and_a_hover():
    figure = draw_token_strip([" the", "<b>", "\n", "\t"], [0.0, 2.0, math.nan, None])
    assert texts(figure) == ["␣the", "&lt;b&gt;", "↵", "⇥"]
    assert "<b>" not in str(figure.to_dict())
    known, missing = figure.data
    assert list(known.marker.color) == [0.0, 2.0]
    assert "2 nats" in known.customdata[1]
    assert all("missing" in text for text in missing.customdata)
    assert isinstance(missing.marker.color, str)
    assert "␣: space, ↵: line break, ⇥: tab." in figure.layout.meta["caption"]
    assert "2 tokens have no value" in figure.layout.meta["caption"]


def test_signed_values_have_a_symmetric_scale():
    (bars,) = draw_token_strip(["a", "b"], [-1.0, 3.0], unit="logits").data
    assert (bars.marker.cmin, bars.marker.cmax) == (-3.0, 3.0)
    (bars,) = draw_token_strip(["a", "b"], [1.0, 3.0]).data
    assert (bars.marker.cmin, bars.marker.cmax) == (0.0, 3.0)


def test_long_texts_are_broken_into_lines_that_fit():
    figure = draw_token_strip([" word"] * 60, [1.0] * 60)
    (bars,) = figure.data
    assert max(base + x for base, x in zip(bars.base, bars.x, strict=True)) <= 64.5
    lines = set(bars.y)
    assert lines == set(range(len(lines)))
    assert len(lines) > 4


def test_ink_can_be_read_on_its_field():
    figure = draw_token_strip(["low", "high"], [0.0, 9.0])
    light, dark = figure.data[0].insidetextfont.color
    assert light != dark


def test_what_does_not_pair_is_refused():
    with pytest.raises(ValueError, match="2 tokens for 1 values"):
        draw_token_strip(["a", "b"], [1.0])
    with pytest.raises(ValueError, match="0 tokens"):
        draw_token_strip([], [])
