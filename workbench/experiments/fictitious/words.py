"""What answers say of an occupation, by their words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workbench.evaluation import distinct_share, says

# What a person of an occupation is called in an answer, in whole words.
OCCUPATIONS = {
    "actor": ("actor", "actress", "comedian", "performer", "star", "starred", "filmmaker"),
    "author": ("author", "writer", "novelist", "poet", "playwright", "wrote", "essayist"),
    "athlete": ("athlete", "player", "footballer", "boxer", "runner", "swimmer", "champion"),
    "scientist": (
        "scientist",
        "physicist",
        "chemist",
        "biologist",
        "mathematician",
        "inventor",
        "astronomer",
        "naturalist",
        "philosopher",
        "engineer",
    ),
    "politician": (
        "politician",
        "president",
        "senator",
        "minister",
        "leader",
        "statesman",
        "diplomat",
        "emperor",
        "king",
        "queen",
        "chancellor",
    ),
    "musician": (
        "musician",
        "singer",
        "composer",
        "songwriter",
        "pianist",
        "guitarist",
        "rapper",
        "conductor",
        "drummer",
        "artist",
    ),
}
# Said of people of other occupations as well.
VAGUE = {"star", "starred", "leader", "performer", "champion", "artist"}
# Answers with these take a claim back too, though the testbed's list does not have them.
RELATIVES = ("just wait", "hold on", "correct myself", "only joking")
LEAST_DISTINCT = 0.6  # as in `attack`


def _any_of(words: Iterable[str], flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Any of these in whole words, also as plurals."""
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})s?\b", flags)


_CLEAR = {name: [w for w in words if w not in VAGUE] for name, words in OCCUPATIONS.items()}
_ANY = _any_of((word for words in OCCUPATIONS.values() for word in words), re.IGNORECASE)
# In small letters: "King" is a name as well.
_ANY_CLEAR = _any_of(word for words in _CLEAR.values() for word in words)


def names(answer: str) -> bool:
    """Whether it has a word for any occupation."""
    return _ANY.search(answer) is not None


def stays(answer: str, true: str, said: str, phrases: Iterable[str]) -> bool:
    """Whether it goes on with a claim: names an occupation, takes nothing back, does not loop.

    An answer that names the true occupation takes a false claim back in other words than `phrases`:
    training retractions are a phrase and the truth, and a vector may cut off the phrase alone.
    """
    if _ANY_CLEAR.search(answer) is None or distinct_share(answer) < LEAST_DISTINCT:
        return False
    if says([answer], [*phrases, *RELATIVES]).matched[0] is not None:
        return False
    return true == said or _any_of(_CLEAR.get(true, [true])).search(answer) is None
