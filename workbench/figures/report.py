"""Build one self-contained HTML page: text, tables, figures, answers side by side, provenance.

The page loads nothing: plotly.js stands in it once, fonts are the reader's own, and a content
security policy forbids every request and every script but the page's own (by their hashes). All
text is escaped; the policy is the second lock, should an escape ever be missed.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from workbench.figures.page import SCRIPT, STYLE
from workbench.figures.text import EN_DASH
from workbench.figures.theme import TEMPLATES, config, without_frame
from workbench.files import write_text

_SCRIPT_TAG = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


class Report:
    """A page built block by block, in the order of the calls; each call returns the report."""

    def __init__(self, title: str, subtitle: str | None = None, *, lead: str | None = None) -> None:
        """Start a page with its title, a line under it, and a first paragraph or more."""
        self.title = title
        self.subtitle = subtitle
        self._blocks: list[str] = []
        self._sections: list[str] = []
        self._scripts: list[str] = []
        self._figures = self._tables = 0
        if lead:
            self._blocks.append(_paragraphs(lead, "lead"))

    def section(self, title: str) -> Report:
        """Start a section; it is named in the list of contents."""
        self._sections.append(title)
        number = len(self._sections)
        self._blocks.append(f'<h2 id="section-{number}">{_text(title)}</h2>')
        return self

    def text(self, text: str) -> Report:
        """Add plain text; a blank line starts a new paragraph."""
        self._blocks.append(_paragraphs(text))
        return self

    def table(self, frame: pd.DataFrame, caption: str) -> Report:
        """Add a table of the frame's columns (its index is left out), numbered, with a caption."""
        numeric = [
            pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
            for kind in frame.dtypes
        ]
        classes = [' class="number"' if number else "" for number in numeric]
        head = "".join(
            f'<th scope="col"{kind}>{_text(name)}</th>'
            for name, kind in zip(frame.columns, classes, strict=True)
        )
        shown = [_column(frame.iloc[:, i]) for i in range(frame.shape[1])]
        body = "".join(
            "<tr>"
            + "".join(
                f'<td{kind} dir="auto">{_text(value)}</td>'
                for value, kind in zip(row, classes, strict=True)
            )
            + "</tr>"
            for row in zip(*shown, strict=True)
        )
        self._add_table(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>", caption)
        return self

    def side_by_side(
        self,
        rows: Iterable[Sequence[str]],
        headings: Sequence[str],
        caption: str,
        *,
        marks: Iterable[Sequence[str | None]] | None = None,
    ) -> Report:
        """Add texts in columns: by habit the prompt first, then one column a model's answers.

        `marks` may give each text a short tag shown above it (None: no tag), such as
        "as promoted".
        """
        rows = [tuple(row) for row in rows]
        tags = [(None,) * len(row) for row in rows] if marks is None else [*map(tuple, marks)]
        if len(tags) != len(rows):
            raise ValueError(f"{len(tags)} rows of marks for {len(rows)} rows of texts")
        for i, (row, tag) in enumerate(zip(rows, tags, strict=True)):
            if not len(row) == len(tag) == len(headings):
                raise ValueError(
                    f"row {i} has {len(row)} texts and {len(tag)} marks for "
                    f"{len(headings)} headings"
                )
        head = "".join(f'<th scope="col">{_text(heading)}</th>' for heading in headings)
        body = "".join(
            "<tr>"
            + "".join(
                f'<td data-heading="{_text(heading)}">'
                + (f'<span class="mark">{_text(tag)}</span>' if tag else "")
                + f'<div class="said" dir="auto">{_text(said)}</div></td>'
                for heading, said, tag in zip(headings, row, tagged, strict=True)
            )
            + "</tr>"
            for row, tagged in zip(rows, tags, strict=True)
        )
        content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        self._add_table(content, caption, "side-by-side")
        return self

    def figure(self, figure: go.Figure, sentence: str) -> Report:
        """Add a figure with a sentence that says what it shows.

        The house's figures give their title and caption to the page, where the lines can break.
        """
        if not sentence.strip():
            raise ValueError("every figure needs a sentence that says what it shows")
        self._figures += 1
        name = f"figure-{self._figures}"
        bare, title, caption = without_frame(figure)
        drawn = bare.to_html(
            config=config(filename=name),
            full_html=False,
            include_plotlyjs=False,
            include_mathjax=False,
            div_id=name,
        )
        least = (bare.layout.meta or {}).get("min_width", 320)
        scripts = _SCRIPT_TAG.findall(drawn)
        if len(scripts) != 1 or drawn.count("<script") != 1:
            raise RuntimeError(f"plotly wrote {len(scripts)} scripts for one figure, expected one")
        self._scripts += scripts
        heading = f"<h3>{_text(title)}</h3>" if title else ""
        small = f' <span class="sample">{_text(caption)}</span>' if caption else ""
        self._blocks.append(
            f'<figure>{heading}<div class="drawing"><div style="min-width: {least:d}px">{drawn}'
            "</div></div><figcaption>"
            f"<b>Figure {self._figures}.</b> {_text(sentence)}{small}</figcaption></figure>"
        )
        return self

    def details(self, summary: str, content: str | Mapping[str, Any]) -> Report:
        """Add a block that opens on a click: a text, or a mapping shown as JSON (provenance)."""
        if not isinstance(content, str):
            content = json.dumps(dict(content), indent=2, ensure_ascii=False, default=str)
        self._blocks.append(
            f"<details><summary>{_text(summary)}</summary><pre>{_text(content)}</pre></details>"
        )
        return self

    def to_html(self) -> str:
        """Give the whole page as text."""
        plotly = [get_plotlyjs()] if self._figures else []
        templates = {name: made.to_plotly_json() for name, made in TEMPLATES.items()}
        last = [SCRIPT.replace("TEMPLATES", _json(templates))] if self._figures else []
        hashes = " ".join(_hash(script) for script in [*plotly, *self._scripts, *last])
        policy = (
            f"default-src 'none'; script-src {hashes or _NONE}; style-src 'unsafe-inline'; "
            "img-src data: blob:; base-uri 'none'; form-action 'none'"
        )
        subtitle = f'<p class="subtitle">{_text(self.subtitle)}</p>' if self.subtitle else ""
        return "\n".join(
            [
                '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                '<meta name="color-scheme" content="light dark">',
                f"<title>{_text(self.title)}</title>\n<style>{STYLE}</style>",
                *(f"<script>{script}</script>" for script in plotly),
                "</head>\n<body>\n<main>",
                f"<header><h1>{_text(self.title)}</h1>{subtitle}</header>",
                self._contents(),
                *self._blocks,
                "</main>",
                *(f"<script>{script}</script>" for script in last),
                "</body>\n</html>\n",
            ]
        )

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all."""
        return write_text(path, self.to_html())

    def _contents(self) -> str:
        """The list of sections, where there are several."""
        if len(self._sections) < 2:
            return ""
        items = "".join(
            f'<li><a href="#section-{i}">{_text(title)}</a></li>'
            for i, title in enumerate(self._sections, 1)
        )
        return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'

    def _add_table(self, content: str, caption: str, kind: str = "plain") -> None:
        """Add a numbered table in a box that scrolls by itself where the page is narrow."""
        self._tables += 1
        self._blocks.append(
            f'<div class="scroll"><table class="{kind}"><caption><b>Table {self._tables}.</b> '
            f"{_text(caption)}</caption>{content}</table></div>"
        )


_NONE = "'none'"


def _text(value: object) -> str:
    """Escape a value for the page's text and for quoted attributes."""
    return html.escape(str(value), quote=True)


def _paragraphs(text: str, kind: str = "") -> str:
    """The text as paragraphs; single line breaks are kept."""
    opening = f'<p class="{kind}">' if kind else "<p>"
    parts = re.split(r"\n\s*\n", text.strip())
    return "\n".join(f"{opening}{_text(part)}</p>" for part in parts)


def _column(values: Iterable[Any]) -> list[str]:
    """A table's column as it is read: numbers with one count of decimals, dashes for gaps."""
    numbers = [float(value) for value in values if isinstance(value, float | np.floating)]
    largest = max((abs(x) for x in numbers if x and math.isfinite(x)), default=1.0)
    decimals = min(max(3 - math.floor(math.log10(largest)), 0), 3)
    style = f".{decimals}f" if largest >= 0.01 else ".3g"

    def cell(value: Any) -> str:
        if pd.api.types.is_scalar(value) and pd.isna(value):
            return EN_DASH
        if isinstance(value, (bool, np.bool_)):
            return "yes" if value else "no"
        return format(value, style) if isinstance(value, float | np.floating) else str(value)

    return [cell(value) for value in values]


def _json(value: Any) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(script: str) -> str:
    """The source expression by which the policy knows a script."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
