"""The kept folder: its logic with a tiny model and reader, its content with the real one."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from tests.conftest import make_tokenizer, tiny_hf
from tests.models.test_packaged import PIECES, sha
from workbench.models import converted, packaged
from workbench.models.converted import is_cached, kept_folder, load_packaged
from workbench.models.known import KNOWN, KnownModel
from workbench.models.packaged import ModelFetchError, fetch

WHOLE = b"".join(PIECES)


class Reader:
    """Stands for transformers' GGUF loader: gives the same tiny model each time, and counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dtypes: list[torch.dtype] = []

    def __call__(self, gguf: Path, dtype: torch.dtype):
        assert gguf.read_bytes() == WHOLE
        self.dtypes.append(dtype)
        return tiny_hf("llama").to(dtype), make_tokenizer(self.folder, bos=False)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warm cache: the GGUF is there, pip must not be asked."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def pip(arguments: list[str], temp: Path) -> None:
        raise AssertionError("a warm cache needs no pip")

    monkeypatch.setattr(packaged, "_run_pip", pip)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tiny.gguf").write_bytes(WHOLE)
    return tmp_path / "cache"


@pytest.fixture
def known(cache: Path) -> KnownModel:
    return dataclasses.replace(
        KNOWN["smollm2-135m-instruct"],
        name="tiny-model",
        hub_id="someone/tiny",
        filename="tiny.gguf",
        gguf_sha256=sha(WHOLE),
        size=len(WHOLE),
        parameters=sum(p.numel() for p in tiny_hf("llama").parameters()),
    )


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    reader = Reader(tmp_path / "reader")
    monkeypatch.setattr(converted, "_read_gguf", reader)
    monkeypatch.setattr(converted, "_SMALL", 1000)  # so that the weights count as large
    return reader


def assert_is_the_tiny_model(pair, dtype: torch.dtype = torch.float32) -> None:
    model, tokenizer = pair
    expected = tiny_hf("llama").to(dtype).state_dict()
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert tokenizer("w3 w1")["input_ids"] == [10, 8]


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def test_the_gguf_is_read_once_and_the_folder_ever_after(
    known: KnownModel, cache: Path, reader: Reader
) -> None:
    assert_is_the_tiny_model(load_packaged(known))
    assert_is_the_tiny_model(load_packaged(known))
    assert reader.dtypes == [torch.float32]
    folder = kept_folder(known)
    assert left(cache) == {"tiny.gguf", folder.name}
    assert {"config.json", "tokenizer.json", "model.safetensors", "manifest.json"} <= {
        path.name for path in folder.iterdir()
    }


def test_the_folder_is_named_after_all_it_depends_on(
    known: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {kept_folder(known).name}
    names.add(kept_folder(dataclasses.replace(known, gguf_sha256="0" * 64)).name)
    monkeypatch.setattr(converted, "LAYOUT", 99)
    names.add(kept_folder(known).name)
    monkeypatch.setattr(converted.transformers, "__version__", "7.0.1")
    names.add(kept_folder(known).name)
    assert len(names) == 4


def test_the_tokenizer_comes_from_a_folder_that_stays(known: KnownModel, reader: Reader) -> None:
    _, tokenizer = load_packaged(known)
    assert Path(tokenizer.init_kwargs["name_or_path"]) == kept_folder(known)


def test_another_dtype_is_cast_from_the_float32_folder(known: KnownModel, reader: Reader) -> None:
    model, _ = pair = load_packaged(known, torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert_is_the_tiny_model(pair, torch.bfloat16)
    assert reader.dtypes == [torch.float32]
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32  # as transformers keeps it


def test_others_may_read_what_is_kept(known: KnownModel, reader: Reader) -> None:
    load_packaged(known)
    modes = {path.stat().st_mode & 0o777 for path in kept_folder(known).iterdir()}
    mask = os.umask(0)
    os.umask(mask)
    assert modes == {0o666 & ~mask}


def damage_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def shorten_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def change_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace("silu", "gelu"))


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


DAMAGES = {
    "weights changed": damage_weights,
    "weights cut short": shorten_weights,
    "config changed": change_config,
    "tokenizer gone": lambda folder: (folder / "tokenizer.json").unlink(),
    "manifest gone": lambda folder: (folder / "manifest.json").unlink(),
    "manifest cut short": lambda folder: (folder / "manifest.json").write_text('{"files": {'),
    "manifest of another kind": lambda folder: (folder / "manifest.json").write_text("[]"),
    "folder is a file": replace_by_a_file,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_folder_is_made_again(damage, known: KnownModel, reader: Reader) -> None:
    load_packaged(known)
    damage(kept_folder(known))
    assert_is_the_tiny_model(load_packaged(known))
    assert len(reader.dtypes) == 2
    assert left(kept_folder(known).parent) == {"tiny.gguf", kept_folder(known).name}
    load_packaged(known)
    assert len(reader.dtypes) == 2


def test_a_copied_cache_is_still_good(known: KnownModel, reader: Reader) -> None:
    load_packaged(known)
    weights = kept_folder(known) / "model.safetensors"
    os.utime(weights, (1, 1))  # its date says it was touched; its content says it was not
    assert_is_the_tiny_model(load_packaged(known))
    assert len(reader.dtypes) == 1


def test_the_folder_alone_is_enough(known: KnownModel, cache: Path, reader: Reader) -> None:
    load_packaged(known)
    (cache / "tiny.gguf").unlink()
    assert is_cached(known)
    assert_is_the_tiny_model(load_packaged(known))


def test_a_gguf_that_changed_is_fetched_again_before_it_is_read(
    known: KnownModel, cache: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "tiny.gguf").write_bytes(bytes(len(WHOLE)))
    asked = []

    def fetch_whole(known: KnownModel, target: Path, progress: bool) -> None:
        asked.append(target.name)
        target.write_bytes(WHOLE)

    monkeypatch.setattr(packaged, "_fetch", fetch_whole)
    assert_is_the_tiny_model(load_packaged(known))
    assert asked == ["tiny.gguf"]


def test_no_model_and_no_network_is_a_fetch_error(
    known: KnownModel, cache: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "tiny.gguf").unlink()
    offline = SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution found")
    monkeypatch.setattr(packaged, "_run_pip", lambda arguments, temp: offline)
    with pytest.raises(ModelFetchError, match=r"(?s)'someone/tiny'.*No matching distribution"):
        load_packaged(known)
    assert not left(cache)
    assert not is_cached(known)


def no_room(*arguments: object, **options: object) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device")


def no_room_for_tokenizer(*arguments: object, **options: object) -> None:
    raise Exception("No space left on device (os error 28)")


@pytest.mark.parametrize("where", ["before", "weights", "tokenizer", "read-only"])
def test_without_room_the_gguf_is_read_with_one_warning(
    where: str, known: KnownModel, cache: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        if where == "before":
            patch.setattr(packaged.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5))
        elif where == "weights":
            patch.setattr("transformers.PreTrainedModel.save_pretrained", no_room)
        elif where == "tokenizer":
            patch.setattr(converted, "_write", failing_tokenizer(converted._write))
        else:
            patch.setattr(packaged.FileLock, "acquire", read_only)
        with pytest.warns(UserWarning, match="tiny-model is read from its GGUF") as warned:
            _, tokenizer = pair = load_packaged(known, torch.bfloat16)
    assert_is_the_tiny_model(pair, torch.bfloat16)
    (warning,) = warned
    assert "Free 100 MB there, or set WORKBENCH_CACHE" in str(warning.message)
    assert left(cache) == {"tiny.gguf"}
    # TransformerLens makes the tokenizer anew from there:
    assert Path(tokenizer.init_kwargs["name_or_path"], "tokenizer.json").is_file()


def failing_tokenizer(write):
    def wrapped(folder, model, tokenizer, known):
        tokenizer.save_pretrained = no_room_for_tokenizer
        return write(folder, model, tokenizer, known)

    return wrapped


def read_only(*arguments: object, **options: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_two_at_once_convert_once(known: KnownModel, reader: Reader) -> None:
    with ThreadPoolExecutor(2) as pool:
        for pair in pool.map(load_packaged, [known, known]):
            assert_is_the_tiny_model(pair)
    assert len(reader.dtypes) == 1


def test_what_a_killed_process_left_is_removed(
    known: KnownModel, cache: Path, reader: Reader
) -> None:
    folder = kept_folder(known)
    (cache / f".{folder.name}.abc" / "new").mkdir(parents=True)
    (cache / f".{folder.name}.abc" / "new" / "model.safetensors").write_bytes(b"half")
    load_packaged(known)
    assert left(cache) == {"tiny.gguf", folder.name}


def test_the_user_is_told_once_that_it_takes_long(
    known: KnownModel, reader: Reader, capfd: pytest.CaptureFixture[str]
) -> None:
    load_packaged(known)
    assert "tiny-model: converting it for quick loads" in capfd.readouterr().err
    load_packaged(known)
    assert "tiny-model" not in capfd.readouterr().err


def test_progress_bars_of_transformers_are_as_before(known: KnownModel, reader: Reader) -> None:
    before = converted.hf_logging.is_progress_bar_enabled()
    load_packaged(known)
    assert converted.hf_logging.is_progress_bar_enabled() == before


@pytest.mark.embedded
def test_the_kept_folder_equals_what_the_gguf_loader_reads() -> None:
    known = KNOWN["smollm2-135m-instruct"]
    model, tokenizer = load_packaged(known)
    assert json.loads((kept_folder(known) / "manifest.json").read_text())["files"]
    read_model, read_tokenizer = converted._read_gguf(fetch(known), torch.float32)

    expected = read_model.state_dict()
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not hasattr(model.config, "quantization_config")
    assert sum(p.numel() for p in model.parameters()) == known.parameters
    assert model.config.num_hidden_layers == known.layers
    assert model.config.hidden_size == known.d_model
    ours, theirs = model.config.to_dict(), read_model.config.to_dict()
    where_from = {"_name_or_path", "architectures"}  # the GGUF loader leaves the latter out
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} <= where_from
    assert model.generation_config.to_dict() == read_model.generation_config.to_dict()

    assert tokenizer.get_vocab() == read_tokenizer.get_vocab()
    assert tokenizer.chat_template == read_tokenizer.chat_template
    assert tokenizer.backend_tokenizer.to_str() == read_tokenizer.backend_tokenizer.to_str()
    assert tokenizer.special_tokens_map == read_tokenizer.special_tokens_map
    assert tokenizer.padding_side == read_tokenizer.padding_side
    texts = ["What is 2+2?", " a  b\n\n", "naïve 東京 🙂", "<|im_start|>user\nhi<|im_end|>\n", ""]
    assert tokenizer(texts)["input_ids"] == read_tokenizer(texts)["input_ids"]
    messages = [{"role": "user", "content": "hi"}]
    chats = [t.apply_chat_template(messages, tokenize=False) for t in (tokenizer, read_tokenizer)]
    assert chats[0] == chats[1]
