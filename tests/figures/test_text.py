from __future__ import annotations

import html

import pytest

from workbench.figures.text import columns, hover_text, plain, shorten, tick_labels, wrap


@pytest.mark.parametrize(
    "text", ["<b>x</b>", "a & b", "$x^2$", "%{x}", "&lt;", "<a href='x'>", "%%{y}", "plain"]
)
def test_plain_text_comes_back_as_it_was(text: str) -> None:
    escaped = plain(text)
    assert html.unescape(escaped) == text
    assert not any(mark in escaped for mark in ("<", ">", "$", "%{"))


def test_plain_shows_the_invisible() -> None:
    assert plain("a\nb\t\u202e") == "a\\nb\\t\\u202e"


def test_shorten_keeps_both_ends() -> None:
    long = "the capital of France, layer 10, seed 3"
    short = shorten(long, 20)
    assert len(short) <= 20
    assert short.startswith("the capital")
    assert short.endswith("seed 3")
    assert shorten("short", 20) == "short"


def test_tick_labels_are_unique_after_shortening() -> None:
    middle = [f"{'a' * 20} {i} {'b' * 20}" for i in range(4)]
    labels = tick_labels([*middle, "x", "x", "x (2)", "<i>"], 14)
    assert len(set(labels)) == len(labels) == 8
    assert labels[4:] == ["x", "x (2)", "x (2) (2)", "&lt;i&gt;"]


def test_wrap_and_hover() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("a\n\nb", 10) == ["a", "", "b"]
    assert wrap("a b c d", 1, limit=2) == ["a", "b", "…"]
    assert hover_text("<b>one</b> two", 10) == "&lt;b&gt;one&lt;/b&gt;<br>two"
    assert columns("ab") == 2
    assert columns("東京") == 4
