"""Word lists of our own, from which training texts are composed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import MappingProxyType


@cache
def read_texts(name: str) -> MappingProxyType[str, tuple[str, ...]]:
    """The sections of `texts/{name}.txt`, each with its lines.

    `[section]` begins one; `#` begins a remark, and empty lines part.
    """
    sections: dict[str, list[str]] = {}
    text = files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            entries = sections.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            entries.append(line)
    return MappingProxyType({name: tuple(entries) for name, entries in sections.items()})
