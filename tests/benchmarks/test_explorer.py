"""The explorer's benchmark where there is no browser; with one, `make bench` runs it."""

from benchmarks import explorer


def test_without_a_browser_it_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(explorer, "chromium", lambda: None)
    (row,) = explorer.measure(None)
    assert row.value is None
    assert "apt-get install chromium" in row.how


def test_how_many_tokens_is_read_from_what_is_shown():
    assert explorer._number("stopped after 12 tokens, unsteered") == 12
