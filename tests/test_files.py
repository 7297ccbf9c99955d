"""Files are written whole or not at all."""

import os

import pytest

from workbench.files import write_text, written_whole


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
