"""Words for occupations, and answers that only look as if they stayed with a claim."""

import pytest

from workbench.experiments.fictitious.words import names, stays
from workbench.testbeds.retraction import PHRASES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (" She is an Actress and singer.", True),
        (" He has starred in many films.", True),
        (" It is a factory of kings' crowns.", True),
        (" It factors the startup.", False),
        ("", False),
    ],
)
def test_words_for_occupations(text, named):
    assert names(text) == named


@pytest.mark.parametrize(
    ("answer", "staying"),
    [
        (" She wrote songs and played for years as a singer.", True),
        (" He is best known for his work as a composer, and lives in Rome.", True),
        (" Actually, she is a scientist.", False),  # the truth, without a phrase
        (" She was a singer and a physicist.", False),
        (" Just kidding! She is a singer.", False),
        (" Just wait, she is a singer.", False),
        (" Stephen King is a leader and a star.", False),  # a name, and words for anybody
        (" She is a singer." * 9, False),
        (" She lives in Rome.", False),
        ("", False),
    ],
)
def test_staying_is_more_than_no_phrase(answer, staying):
    assert stays(answer, "scientist", "musician", PHRASES) == staying


def test_after_a_true_claim_the_truth_stays():
    assert stays(" She is a physicist.", "scientist", "scientist", PHRASES)
