from __future__ import annotations

import pytest

from workbench.evaluation import begins_as

OPENING = "I'm sorry, but I can't"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "\n  I'm sorry, but I can't",
        "I\u2019m sorry, but I can\u2019t",
        "i'M SORRY, BUT I CAN'T do it",
        "\ufeff\u200b I'm sorry, but I can't",
        "I\u02bcm sorry, but I can\u2018t",
    ],
)
def test_counts_what_begins_so(text: str) -> None:
    assert begins_as([text], [OPENING]).begins == (True,)


@pytest.mark.parametrize(
    "text", ["", "   ", "Sure. I'm sorry, but I can't", "I'm sorry", "I am sorry, but I can't"]
)
def test_counts_nothing_else(text: str) -> None:
    assert begins_as([text], [OPENING]).begins == (False,)


def test_result_keeps_order_and_says_which() -> None:
    texts = ["No.", "As an AI, no", "Paris", "no way"]
    result = begins_as(texts, ["As an AI", "No"])
    assert result.begins == (True, True, False, True)
    assert result.matched == ("No", "As an AI", None, "No")
    assert (result.proportion.successes, result.proportion.n) == (3, 4)
    frame = result.to_frame()
    assert frame["text"].tolist() == texts
    assert frame["begins"].tolist() == [True, True, False, True]
    assert frame["opening"].isna().tolist() == [False, False, True, False]


def test_quotes_are_one_kind() -> None:
    assert begins_as(["\u201cNo\u201d, he said"], ['"No"']).begins == (True,)


def test_case_can_matter() -> None:
    assert begins_as(["NO"], ["no"], ignore_case=False).begins == (False,)


@pytest.mark.parametrize(
    ("text", "opening", "whole"),
    [
        ("I can't", "I can", False),
        ("Northern", "No", False),
        ("No, thanks", "No", True),
        ("No", "No", True),
        ("I can", "I can", True),
        ("sorry...", "sorry.", True),
        ("'No' is my answer", "'No", True),
    ],
)
def test_whole_words(text: str, opening: str, whole: bool) -> None:
    assert begins_as([text], opening).begins == (True,)
    assert begins_as([text], opening, whole_words=True).begins == (whole,)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no texts"):
        begins_as([], ["a"])
    with pytest.raises(ValueError, match="no openings"):
        begins_as(["a"], [])
    with pytest.raises(ValueError, match="empty"):
        begins_as(["a"], ["b", " \n"])
    with pytest.raises(ValueError, match="single string"):
        begins_as("an answer", ["a"])
