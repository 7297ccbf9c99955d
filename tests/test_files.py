"""Files are written whole or not at all."""

import os

import pytest

from workbench import files
from workbench.files import many_written, write_text, written_whole


def test_a_file_appears_whole_with_ordinary_permissions(tmp_path):
    path = write_text(tmp_path / "deep" / "file.txt", "héllo")
    assert path.read_text(encoding="utf-8") == "héllo"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failure_leaves_what_was_there_and_no_leftovers(tmp_path):
    path = write_text(tmp_path / "file.txt", "before")

    def fail_half_way():
        with written_whole(path) as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail_half_way()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_flushed_after_a_file_or_once_for_many(tmp_path, monkeypatch):
    flushed, sync_folder = [], files.sync_folder
    monkeypatch.setattr(
        files, "sync_folder", lambda path: flushed.append(path) or sync_folder(path)
    )
    write_text(tmp_path / "a" / "b" / "file.txt", "x")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]  # new names, then the file
    flushed.clear()
    with many_written():
        for name in "123":
            write_text(tmp_path / "a" / name, name)
            with many_written():
                write_text(tmp_path / name, name)
        assert not flushed
    assert sorted(flushed) == [tmp_path, tmp_path / "a"]
    write_text(tmp_path / "4", "4")
    assert len(flushed) == 3
