from __future__ import annotations

import base64
import hashlib
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from workbench.evaluation import proportion
from workbench.figures import Report, draw_rates

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)> \"q\" 'a' & $b$"


class Page(HTMLParser):
    """The tags, attributes, scripts and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip():
            self.scripts[-1] += data
        else:
            self.words.append(data)


def evil_report() -> Report:
    figure = draw_rates({EVIL: proportion(1, 4), "ok": proportion(2, 4)}, title=EVIL)
    own = go.Figure(go.Scatter(x=[1], y=[1], text=[EVIL], hovertext=[EVIL], name=EVIL))
    own.update_layout(title={"text": EVIL})
    return (
        Report(EVIL, EVIL, lead=EVIL)
        .section(EVIL)
        .text(EVIL)
        .table(pd.DataFrame({EVIL: [EVIL, "b"], "x": [1.0, math.nan]}), EVIL)
        .side_by_side([[EVIL, "unsteered"]], ["prompt", EVIL], EVIL, marks=[[None, EVIL]])
        .section("second")
        .figure(figure, EVIL)
        .figure(own, "Not from the house.")
        .details(EVIL, {EVIL: [EVIL]})
    )


def test_hostile_text_is_shown_and_never_becomes_markup() -> None:
    text = evil_report().to_html()
    page = Page(text)
    assert page.tags.count("script") == 4  # plotly.js, two figures, the page's own
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert sum(EVIL in words for words in page.words) >= 8
    assert all("<script" not in script for script in page.scripts[1:])


def test_policy_names_each_script_and_nothing_else() -> None:
    text = evil_report().to_html()
    policy = next(
        value for _, value in Page(text).attributes if value and value.startswith("default-src")
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]
    for script in re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_page_asks_the_network_for_nothing() -> None:
    text = evil_report().to_html()
    assert text.count(get_plotlyjs()) == 1
    rest = text.replace(get_plotlyjs(), "")
    assert "://" not in rest
    assert not re.findall(r"<(?:link|iframe|object|embed|base)\b", rest)
    for name, value in Page(rest).attributes:
        if name in ("src", "href"):
            assert value is not None
            assert value.startswith("#")


def test_plotlyjs_can_stand_in_a_script() -> None:
    assert "</script" not in get_plotlyjs().lower()
    assert "<!--" not in get_plotlyjs()


def test_contents_and_numbers() -> None:
    text = evil_report().to_html()
    assert 'href="#section-2"' in text
    assert 'id="section-2"' in text
    assert "<b>Figure 1.</b>" in text
    assert "<b>Table 2.</b>" in text
    assert 'id="figure-2"' in text
    one = Report("t").section("only").to_html()
    assert "<nav" not in one


def test_house_figures_give_title_and_caption_to_the_page() -> None:
    figure = draw_rates({"a": proportion(1, 4)}, title="The title")
    text = Report("t").figure(figure, "It shows.").to_html()
    assert "<h3>The title</h3>" in text
    assert "95% Wilson intervals." in text.split("<figcaption>")[1].split("</figcaption>")[0]
    script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)[1]
    assert "The title" not in script
    assert '"showSendToCloud": false' in script.replace('":false', '": false')
    assert figure.layout.title.text == "The title"  # the figure given is untouched


def test_no_figures_no_plotly() -> None:
    text = Report("t").text("Words.\n\nMore words.").to_html()
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert text.count("<p>") == 2


def test_tables_are_readable() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", None],
            "n": [24, 7],
            "rate": [0.95833, math.nan],
            "loss": [123.456, 2.0],
            "tiny": [1e-7, 2.5e-8],
            "ok": [True, False],
        }
    )
    text = Report("t").table(frame, "c").to_html()
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text)
    assert cells == [
        *["a", "24", "0.958", "123.5", "1e-07", "yes"],
        *["\u2013", "7", "\u2013", "2.0", "2.5e-08", "no"],
    ]


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="sentence"):
        Report("t").figure(go.Figure(), " ")
    with pytest.raises(ValueError, match="row 0 has 1 texts"):
        Report("t").side_by_side([["a"]], ["p", "q"], "c")
    with pytest.raises(ValueError, match="rows of marks"):
        Report("t").side_by_side([["a"]], ["p"], "c", marks=[])


def test_saves_the_same_page_each_time(tmp_path: Path) -> None:
    report = evil_report()
    path = report.save(tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == report.to_html() == evil_report().to_html()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
