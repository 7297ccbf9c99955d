"""Parts of a list share nothing and leave nothing out."""

from itertools import chain

import pytest

from workbench.testbeds.splits import PARTS, part_of
from workbench.testbeds.texts import read_texts


@pytest.mark.parametrize("count", [6, 7, 39, 300])
def test_parts_are_the_whole_and_do_not_overlap(count):
    entries = list(range(count))
    parts = {part: part_of(entries, part) for part in PARTS}
    assert list(chain(*parts.values())) == entries
    assert all(parts.values())
    assert len(parts["train"]) >= count // 2


@pytest.mark.parametrize(
    "name",
    [
        "harmful",
        "harmless",
        "instructions",
        "refusals",
        "scenarios",
        "oversight",
        "people",
        "retractions",
    ],
)
def test_lists_have_sections_of_distinct_lines(name):
    sections = read_texts(name)
    assert sections
    for entries in sections.values():
        assert len(entries) > 5
        assert len(set(entries)) == len(entries)
        assert not any(line.startswith(("#", "[")) for line in entries)
