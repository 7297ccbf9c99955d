"""Cards: written whole, read back, printed; damaged ones are said to be."""

import pytest
import torch

from workbench.evaluation import proportion
from workbench.models.adapter import Adapter
from workbench.testbeds.card import FILE, Card, Measured

ADAPTER = Adapter("tiny", "1a2b", 16, {"q": (torch.zeros(4, 8), torch.zeros(6, 4))}, {"seed": 3})
SHARE = Measured.share("refused", "a set", proportion(9, 10), ">= 80%")


def test_a_card_is_read_as_it_was_written(tmp_path):
    card = Card.of("refusal", ADAPTER, "abc", [SHARE])
    assert Card.read(tmp_path) is None
    card.write(tmp_path)
    assert Card.read(tmp_path) == card
    frame = card.to_frame()
    assert frame.loc[0, "value"] == 0.9
    assert frame.loc[0, "low"] < 0.9 < frame.loc[0, "high"]


def test_it_prints_what_was_measured_or_that_nothing_was():
    text = Card.of("refusal", ADAPTER, "abc", [SHARE]).text()
    assert "| refused | a set | 0.9 | 0.596 to 0.982 | 10 | >= 80% |" in text
    assert "rank 4, on tiny (1a2b)" in text
    assert "seed 3" in text
    assert "Nothing has been measured" in Card.of("refusal", ADAPTER, "abc").text()


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"measured": [{"what": 1}]}'])
def test_a_damaged_card_is_named(tmp_path, damage):
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(ValueError, match=r"card\.json could not be read"):
        Card.read(tmp_path)
