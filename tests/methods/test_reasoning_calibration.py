"""Thoughts are split and told apart; the vector is the plain difference; it acts at blank lines."""

import pytest
import torch

import workbench as wb
from workbench.methods.reasoning_calibration import (
    at_blank_lines,
    delimiter_tokens,
    kind_of,
    reasoning_calibration,
    split_thoughts,
)
from workbench.models.text import completion_ids
from workbench.steering import SteeringVector
from workbench.steering.activations import activations
from workbench.steering.positions import Positions

LAYER = 10
PROMPT = "Question: what is 3 plus 4?\nAnswer:"
REASONING = (
    " First add three and four.\n\nWait, let me check that.\n\nThree plus four is seven."
    "\n\nAlternatively, count on the fingers.\n\nSo it is seven."
)


def test_thoughts_are_parted_by_blank_lines_and_told_by_their_words():
    thoughts = split_thoughts(REASONING)
    assert [thought.kind for thought in thoughts] == [
        "execution",
        "reflection",
        "execution",
        "transition",
        "execution",
    ]
    assert all(REASONING[t.start :].startswith(t.text) for t in thoughts)
    assert split_thoughts("\n\n a \n \n\n b\n\n")[0].text.strip() == "a"
    assert len(split_thoughts("one\ntwo")) == 1
    (_, indented) = split_thoughts("a\n\n  b")
    assert (indented.after, indented.start) == (3, 5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hmm, that is odd", "reflection"),
        ("The waiter waits", "execution"),
        ("Another approach: count", "transition"),
        ("Wait, alternatively", "reflection"),
        ("Instead of adding", "transition"),
    ],
)
def test_kinds(text, kind):
    assert kind_of(text) == kind


@pytest.mark.embedded
def test_the_vector_is_the_plain_difference_of_means(embedded):
    found = reasoning_calibration(embedded, [PROMPT], [REASONING], LAYER)
    head, tail = completion_ids(embedded, PROMPT, REASONING)
    written = [embedded.tokenizer.decode(tail[: i + 1]) for i in range(len(tail))]
    blank = [len(head) + i for i, text in enumerate(written) if text.endswith("\n\n")]
    assert len(blank) == 4
    own = torch.zeros(4, 1, len(head) + len(tail), dtype=torch.bool)
    own[torch.arange(4), 0, torch.tensor(blank)] = True
    at = [Positions.mask(each) for each in own]
    read = activations(embedded, [PROMPT], [REASONING], layers=[LAYER], positions=at)[0, 0]
    expected = (read[1] + read[3]) / 2 - (read[0] + read[2]) / 2
    torch.testing.assert_close(found.values, expected, atol=1e-3, rtol=1e-3)
    assert found.provenance.config == {"n_executions": 2, "n_others": 2}


@pytest.mark.embedded
def test_it_acts_at_blank_lines_of_the_answer_only(embedded):
    broken = {embedded.tokenizer.decode([i]) for i in delimiter_tokens(embedded)}
    assert "\n" in broken
    assert all("\n" in text for text in broken)
    vector = SteeringVector(torch.ones(embedded.cfg.d_model), LAYER)
    steering = at_blank_lines(embedded, vector, 5.0)

    def change(text):
        return (
            wb.log_prob(embedded, PROMPT, text, steering).token_log_probs[0]
            - wb.log_prob(embedded, PROMPT, text).token_log_probs[0]
        ).abs()

    assert float(change(" First add three and four. It is seven.").max()) < 1e-4
    assert float(change(REASONING).max()) > 1e-2


def test_one_sort_of_thoughts_is_refused(tiny):
    with pytest.raises(ValueError, match="no reflections or transitions"):
        reasoning_calibration(tiny, ["w1 "], ["w2\n\nw3"], 1)
    with pytest.raises(ValueError, match="1 prompts for 2"):
        reasoning_calibration(tiny, ["w1 "], ["w2", "w3"], 1)
    with pytest.raises(ValueError, match="nowhere to steer"):
        at_blank_lines(tiny, SteeringVector(torch.ones(tiny.cfg.d_model), 1))
