"""The paper's numbers beside ours."""

from workbench.evaluation import Interval, proportion
from workbench.experiments.published import beside, in_words


def test_measures_of_either_side_are_kept_in_order():
    found = beside({"a": 0.934, "b": "2 to 18"}, {"b": proportion(1, 4), "c": 0.5})
    assert list(found["measure"]) == ["a", "b", "c"]
    assert list(found["paper"]) == ["93.4%", "2 to 18", ""]
    assert list(found["here"]) == ["", str(proportion(1, 4)), "50.0%"]


def test_words():
    interval = Interval(0.5, 0.4, 0.6, 10, 20, 0.95)
    assert in_words(interval) == "50% (10 vectors, 20 prompts, 95% CI 40-60%)"
    assert in_words(1.65) == "1.65"


def test_bits_are_no_shares():
    found = beside({"bits real": 1.0, "retracts": 1.0}, {"bits real": 0.5})
    assert list(found["paper"]) == ["1.00 bits", "100.0%"]
    assert list(found["here"]) == ["0.50 bits", ""]


def test_a_side_without_measures_has_no_column():
    assert list(beside({}, {"a": 0.5})) == ["measure", "here"]
    assert list(beside({"a": 0.5}, {})) == ["measure", "paper"]
