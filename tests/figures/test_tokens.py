from __future__ import annotations

import pytest

from workbench.analysis import LensToken, VectorLens
from workbench.figures import draw_vector_lens


def lens(promoted: list[str], suppressed: list[str], label: str = "v") -> VectorLens:
    def tokens(words: list[str], sign: int) -> tuple[LensToken, ...]:
        return tuple(
            LensToken(word, 100 + i, sign * (9.0 - i) / 10, sign * (9.0 - i))
            for i, word in enumerate(words)
        )

    return VectorLens(
        label=label,
        layer=7,
        norm=3.0,
        promoted=tokens(promoted, 1),
        suppressed=tokens(suppressed, -1),
        mean=0.0,
        std=0.1,
        n_vocab=49_152,
        random_max_z=4.4,
        random_low=3.9,
        random_high=5.2,
        random_std=0.1,
        n_random=64,
        seed=0,
    )


def test_bars_go_both_ways_in_order() -> None:
    figure = draw_vector_lens(lens(["␣sorry", "no"], ["Paris", "city"]))
    promoted, suppressed = figure.data
    assert list(promoted.x) == [9, 8]
    assert list(suppressed.x) == [-8, -9]  # the most suppressed at the bottom
    assert [*promoted.y, *suppressed.y] == [0, 1, 2, 3]
    assert list(figure.layout.yaxis.ticktext) == ["␣sorry", "no", "city", "Paris"]
    low, high = figure.layout.xaxis.range
    assert low == -high
    assert high > 9
    assert "id 100" in promoted.hovertemplate.replace("%{customdata[1]}", "100")
    assert promoted.customdata[0][1] == 100


def test_band_is_the_random_reference() -> None:
    figure = draw_vector_lens(lens(["a"], ["b"]))
    band = next(shape for shape in figure.layout.shapes if shape.type == "rect")
    assert (band.x0, band.x1) == (-4.4, 4.4)
    caption = figure.layout.meta["caption"]
    for part in ("layer 7", "49,152 tokens", "4.4 on average", "64 vectors"):
        assert part in caption
    assert "z-score" in figure.layout.xaxis.title.text


def test_tokens_are_shown_not_obeyed() -> None:
    figure = draw_vector_lens(lens(["<b>x</b>", "$y$", "same"], ["same", "%{x}"], "<i>"))
    ticks = figure.layout.yaxis.ticktext
    assert len(set(ticks)) == 5
    assert ticks[0] == "&lt;b&gt;x&lt;/b&gt;"
    texts = [*ticks, figure.layout.title.text, *(t[0] for b in figure.data for t in b.customdata)]
    assert not any(mark in text for text in texts for mark in ("<b>", "<i>", "$", "%{"))


@pytest.mark.parametrize("k", [1, 10])
def test_height_follows_the_tokens(k: int) -> None:
    words = [f"w{i}" for i in range(k)]
    figure = draw_vector_lens(lens(words, words))
    assert 200 < figure.layout.height < 700
