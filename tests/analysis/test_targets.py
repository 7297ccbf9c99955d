"""The two tokens of a logit difference."""

import pytest

from workbench.analysis.targets import Targets
from workbench.models.text import prompt_ids

PROMPTS = ["w1 w2 ", "w3 "]


def test_the_first_token_of_each_text_after_its_prompt(tiny):
    found = Targets.of(tiny, PROMPTS, "w5 w6", ["w7", "w8"])
    assert found.promoted == ("w5 w6", "w5 w6")
    assert found.suppressed == ("w7", "w8")
    first = {text: prompt_ids(tiny, f"w1 {text}")[-1] for text in ("w5", "w7", "w8")}
    assert found.tokens.tolist() == [[first["w5"]] * 2, [first["w7"], first["w8"]]]


@pytest.mark.parametrize(
    ("prompts", "promoted", "suppressed", "message"),
    [
        ([], "w1", "w2", "no prompts"),
        (PROMPTS, ["w1"], "w2", "1 texts for 2 prompts"),
        (PROMPTS, "w1 w2", ["w3", "w1 w5"], "begin with the same token after prompt 1"),
    ],
)
def test_bad_input(tiny, prompts, promoted, suppressed, message):
    with pytest.raises(ValueError, match=message):
        Targets.of(tiny, prompts, promoted, suppressed)
