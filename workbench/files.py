"""Write files whole or not at all. Knows nothing of models or vectors."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_LATER: ContextVar[set[Path] | None] = ContextVar("_LATER", default=None)


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there if the block ends well, else remove it.

    The file is flushed to disk before the move, and its folder after it: a reader sees the old file
    or the whole new one, whatever happens in between, and after the block the new one stays, also
    where the power fails. Parent folders are made.
    """
    path = Path(path)
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    later = _LATER.get()
    if later is None:
        sync_folder(path.parent)
    else:
        later.add(path.parent)


@contextmanager
def many_written() -> Iterator[None]:
    """Within the block every folder that files are moved to is flushed once, at its end.

    Flushing a folder takes as long as flushing a file: one by one, many files took twice the time.
    """
    if _LATER.get() is not None:  # the outer block's end is the end
        yield
        return
    folders: set[Path] = set()
    token = _LATER.set(folders)
    try:
        yield
    finally:
        _LATER.reset(token)
        for folder in folders:
            sync_folder(folder)


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where missing, and have their names on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: str | Path) -> None:
    """Have a folder's list of files on the disk: a file that was moved there is then found."""
    if os.name == "nt":  # Windows opens no folders; its file systems keep a journal of names
        return
    try:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:  # some file systems flush no folders, and some folders are not read
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise


def _umask() -> int:
    """The process's file mode mask; reading it means setting it for an instant."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
