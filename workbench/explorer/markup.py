"""Small pieces of HTML; all text of models and users is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from workbench.figures.theme import NEGATIVE, POSITIVE
from workbench.steering import StreamedToken

_LINES = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.5"
_FULL = 3.0  # nats at which a token has its full colour


def words(text: str) -> str:
    """Plain text, its line breaks kept."""
    return f'<div style="{_LINES}">{escape(text)}</div>'


def error(message: str) -> str:
    """Something that went wrong, for sighted readers and for screen readers."""
    return (
        f'<div role="alert" style="border-left:4px solid {NEGATIVE};padding:4px 10px;'
        f'{_LINES}">{escape(message)}</div>'
    )


def coloured(tokens: Iterable[StreamedToken]) -> str:
    """An answer, each token coloured by how much likelier steering made it, in nats."""
    spans = []
    for token in tokens:
        change = token.log_prob - token.unsteered_log_prob
        strength = min(abs(change) / _FULL, 1.0)
        red, green, blue = _rgb(POSITIVE if change >= 0 else NEGATIVE)
        title = f"log-prob {token.log_prob:.2f}, unsteered {token.unsteered_log_prob:.2f} nats"
        spans.append(
            f'<span title="{title}" style="background:rgba({red},{green},{blue},'
            f'{0.65 * strength:.2f})">{escape(token.text)}</span>'
        )
    return f'<div style="{_LINES}">{"".join(spans)}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a head."""
    style = 'style="text-align:left;padding:1px 12px 1px 0;vertical-align:top"'
    head = "".join(f'<th scope="col" {style}>{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td {style}>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table style="line-height:1.5"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return red, green, blue
