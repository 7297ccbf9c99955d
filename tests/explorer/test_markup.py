"""Text of models is escaped wherever it is shown."""

from workbench.explorer.markup import coloured, error, table, words
from workbench.steering import StreamedToken

NASTY = '<script>alert("x")</script>'


def test_everything_is_escaped():
    token = StreamedToken(1, NASTY, -1.0, -3.0)
    for made in (words(NASTY), error(NASTY), table([NASTY], [[NASTY]]), coloured([token])):
        assert "<script" not in made
        assert "&lt;script&gt;" in made


def test_colours_follow_the_change_of_the_log_prob():
    up, down, same = (
        coloured([StreamedToken(1, "x", -1.0, -1.0 - change)]) for change in (2.0, -2.0, 0.0)
    )
    assert "rgba(62,142,196,0.43)" in up
    assert "rgba(214,96,77,0.43)" in down
    assert ",0.00)" in same
