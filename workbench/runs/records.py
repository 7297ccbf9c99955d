"""Records that survive: a file of JSON lines, each with its checksum, that only grows.

A line is `{"checksum":"16 hex digits","record":{...}}`, the checksum that of the record's bytes. A
process killed while it writes leaves a last line without its end: it is dropped on reading. A line
that a disk has changed fails its checksum: its record counts as never written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.files import sync_folder

_HEAD, _MIDDLE, _TAIL = b'{"checksum":"', b'","record":', b"}"
_DIGITS = 16


@dataclass(frozen=True)
class Damage:
    """A line that is not what was written: its number, from 1, and its bytes."""

    line: int
    content: bytes


@dataclass(frozen=True)
class Records:
    """What a file holds: whole records in their order, damaged lines, and a torn end's length."""

    held: tuple[dict[str, Any], ...]
    damaged: tuple[Damage, ...]
    torn: int


def read_records(path: str | Path) -> Records:
    """Read a file of records, also while another process appends to it. Absent is empty."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return Records((), (), 0)
    *lines, end = content.split(b"\n")
    held, damaged = [], []
    for number, line in enumerate(lines, 1):
        record = _record_in(line)
        if record is None:
            damaged.append(Damage(number, line))
        else:
            held.append(record)
    return Records(tuple(held), tuple(damaged), len(end))


def lines_of(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Records as the lines of a file."""
    lines = []
    for record in records:
        content = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode()
        lines.append(_HEAD + _checksum(content) + _MIDDLE + content + _TAIL + b"\n")
    return b"".join(lines)


def append_records(path: str | Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to a file whose end is whole, and have them on the disk on return.

    One process at a time. Where the disk is full, what was begun is taken back. Raises OSError.
    """
    new = not Path(path).exists()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        before = os.fstat(file).st_size
        rest = memoryview(lines_of(records))
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except BaseException:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
    if new:
        sync_folder(Path(path).parent)


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest()[:_DIGITS].encode()


def _record_in(line: bytes) -> dict[str, Any] | None:
    """The record of a line, or None where the line is not what was written."""
    start = len(_HEAD) + _DIGITS + len(_MIDDLE)
    content = line[start : -len(_TAIL)]
    if line != _HEAD + _checksum(content) + _MIDDLE + content + _TAIL:
        return None
    record = json.loads(content)  # what its checksum vouches for was JSON
    return record if isinstance(record, dict) else None
