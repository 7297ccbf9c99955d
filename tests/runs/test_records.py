"""Whatever happens to the file, what is read is what was written."""

import errno
import os

import pytest

from workbench.runs import records as module
from workbench.runs.records import append_records, lines_of, read_records

RECORDS = [{"id": str(i), "text": f'é "\n{i}', "loss": 0.1 * i, "none": None} for i in range(4)]


@pytest.fixture
def path(tmp_path):
    append_records(tmp_path / "jobs.jsonl", RECORDS[:1])
    append_records(tmp_path / "jobs.jsonl", RECORDS[1:])
    return tmp_path / "jobs.jsonl"


def test_records_are_read_as_they_were_written(path, tmp_path):
    read = read_records(path)
    assert list(read.held) == RECORDS
    assert (read.damaged, read.torn) == ((), 0)
    assert read_records(tmp_path / "absent").held == ()


def test_a_file_cut_anywhere_gives_the_whole_lines_before_the_cut(path):
    content = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        read = read_records(path)
        whole = [end for end in ends if end <= cut]
        assert list(read.held) == RECORDS[: len(whole)]
        assert read.torn == cut - max(whole, default=0)
        assert not read.damaged


def test_any_flipped_bit_costs_its_own_record_and_no_other(path):
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << (at % 8)
        path.write_bytes(flipped)
        held = list(read_records(path).held)
        number = content[:at].count(b"\n")
        lost = {number, number + 1} if content[at : at + 1] == b"\n" else {number}
        assert held == [record for i, record in enumerate(RECORDS) if i not in lost]
    assert len(lines) == len(RECORDS)


def test_a_line_of_another_record_under_this_checksum_is_damage(path):
    line = lines_of(RECORDS[:1]).replace(b'"loss":0.0', b'"loss":9.0')
    path.write_bytes(line)
    read = read_records(path)
    assert (read.held, len(read.damaged), read.damaged[0].line) == ((), 1, 1)


def test_on_a_full_disk_nothing_is_half_written(path, monkeypatch):
    before, write = path.read_bytes(), os.write

    def full(file, content):
        if len(content) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content[:90])

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        append_records(path, RECORDS)
    assert path.read_bytes() == before
    monkeypatch.undo()
    append_records(path, RECORDS[:1])
    assert list(read_records(path).held) == [*RECORDS, RECORDS[0]]
