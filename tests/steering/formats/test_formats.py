"""Round trips of every format, what each refuses, and what none ever executes."""

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFWriter

import workbench as wb
from workbench.steering import Provenance
from workbench.steering.formats import FORMATS, read_vectors, write_vectors
from workbench.steering.formats.blocks import block_before, layer_after


def vector(layer=2, seed=0, label="<one>", width=32):
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(values, layer, Provenance("test", seed=seed), label)


def hashed(vectors):
    return [hashlib.sha256(each.values.numpy().tobytes()).hexdigest() for each in vectors]


@pytest.mark.parametrize(
    ("name", "file"),
    [("safetensors", "many"), ("gguf", "x.gguf"), ("pt", "x.pt"), ("layers.pt", "x.layers.pt")],
)
def test_values_and_layers_come_back_to_the_bit(tmp_path, name, file):
    held = [vector(2, 1, "a"), vector(3, 2, "b")]
    path = write_vectors(held, tmp_path / file)
    found = read_vectors(path)
    assert hashed(found) == hashed(held)
    assert [each.layer for each in found] == [2, 3]
    assert hashed(read_vectors(path, name)) == hashed(held)
    if name in ("safetensors", "gguf"):
        assert [each.label for each in found] == ["a", "b"]
        assert [each.provenance.seed for each in found] == [1, 2]
    assert list(tmp_path.glob("*.part")) == list(tmp_path.glob(".*")) == []
    assert (
        "keeps everything" in FORMATS[name].loses or "lost" in FORMATS[name].loses or name == "gguf"
    )


@pytest.mark.parametrize("file", ["x.safetensors", "x.gguf", "x.pt", "x.layers.pt"])
def test_a_single_vector(tmp_path, file):
    (found,) = read_vectors(write_vectors(vector(5), tmp_path / file))
    assert hashed([found]) == hashed([vector(5)])
    assert found.layer == (0 if file == "x.pt" else 5)  # a row alone says no layer


def test_blocks_and_layers_are_one_apart():
    assert [block_before(layer) for layer in (1, 2, 29)] == [0, 1, 28]
    assert all(layer_after(block_before(layer)) == layer for layer in range(1, 40))
    with pytest.raises(ValueError, match="before the first block"):
        block_before(0)
    with pytest.raises(ValueError, match="no block -1"):
        layer_after(-1)


def test_a_block_s_output_is_the_next_layer_s_input(any_model):
    """What other tools add to block k's output is what we add at layer k + 1."""
    v = vector(layer_after(1), 3)
    tokens = torch.tensor([[1, 20, 30, 40]])
    with torch.no_grad():
        with wb.steer(any_model, wb.Add(v)):
            ours = any_model(tokens)
        name = "blocks.1.hook_resid_post" if "hook_resid_post" in str(any_model.hook_dict) else None
        hook = (name or f"blocks.{v.layer}.hook_resid_pre", lambda x, hook: x + v.values)
        with any_model.hooks(fwd_hooks=[hook]):
            theirs = any_model(tokens)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_llama_cpp_s_names_and_numbers(tmp_path):
    path = write_vectors([vector(2, 1), vector(11, 2)], tmp_path / "x.gguf")
    reader = GGUFReader(path)
    assert [tensor.name for tensor in reader.tensors] == ["direction.1", "direction.10"]
    assert np.array_equal(reader.tensors[1].data, vector(11, 2).values.numpy())
    assert {"general.architecture", "controlvector.model_hint", "controlvector.layer_count"} <= set(
        reader.fields
    )


def test_a_foreign_control_vector_is_read(tmp_path):
    writer = GGUFWriter(tmp_path / "theirs.gguf", "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_tensor("direction.7", np.ones(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (found,) = read_vectors(tmp_path / "theirs.gguf")
    assert (found.layer, found.d_model, found.label) == (8, 8, "direction.7")
    assert found.provenance.config == {"model_hint": "llama"}


@pytest.mark.parametrize(
    ("held", "file", "message"),
    [
        ([vector(1)], "x.gguf", "cannot be expressed, take layer 2"),
        ([vector(0)], "x.gguf", "before the first block"),
        ([vector(2), vector(2, 1)], "x.gguf", "both act at layer 2"),
        ([vector(2), vector(3, width=16)], "x.gguf", "different d_model"),
        ([vector(0), vector(2)], "x.pt", "before the first block"),
        ([vector(2), vector((2, 3), 1)], "x.layers.pt", "both act at layer 2"),
        ([vector(2), vector(3)], "x.safetensors", "name a folder"),
        ([], "x.gguf", "no vectors to write"),
        ([vector()], "x.bin", "does not say its format"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(tmp_path, held, file, message):
    with pytest.raises(ValueError, match=message):
        write_vectors(held, tmp_path / file)
    assert list(tmp_path.iterdir()) == []


class Hostile:
    """What a pickle may do when it is read."""

    def __reduce__(self):
        return os.mkdir, (str(Hostile.target),)


@pytest.mark.parametrize("file", ["x.pt", "x.layers.pt"])
def test_pickles_are_never_executed(tmp_path, file):
    Hostile.target = tmp_path / "executed"
    torch.save({1: Hostile()}, tmp_path / file)
    with pytest.raises(ValueError, match="Pickled objects are not read"):
        read_vectors(tmp_path / file)
    (tmp_path / file).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="could not be read"):
        read_vectors(tmp_path / file)
    assert not Hostile.target.exists()


def test_other_contents_are_refused_in_words(tmp_path):
    torch.save(torch.ones(2, 3, 4), tmp_path / "cube.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(torch.zeros(4, 8), tmp_path / "zeros.pt")
    torch.save(torch.ones(8, dtype=torch.long), tmp_path / "whole.pt")
    torch.save({"a": torch.ones(3)}, tmp_path / "names.layers.pt")
    torch.save({-1: torch.ones(3)}, tmp_path / "negative.layers.pt")
    messages = {
        "cube.pt": r"shape \(2, 3, 4\)",
        "list.pt": "a list",
        "zeros.pt": "all of them zero",
        "whole.pt": "no numbers of a stream",
        "names.layers.pt": "no dict of block and row",
        "negative.layers.pt": "no block -1",
    }
    for file, message in messages.items():
        with pytest.raises(ValueError, match=message):
            read_vectors(tmp_path / file)
    with pytest.raises(FileNotFoundError, match="no vector file"):
        read_vectors(tmp_path / "absent.gguf")
    with pytest.raises(ValueError, match="no format 'onnx'"):
        read_vectors(tmp_path / "cube.pt", "onnx")


@pytest.mark.parametrize("file", ["x.gguf", "x.pt", "x.layers.pt", "x.safetensors"])
def test_damaged_files_end_in_words_or_in_the_right_values(tmp_path, file):
    """Cut short and flipped at random: an error in words, or the values that were written."""
    whole = write_vectors(vector(2, 1), tmp_path / file).read_bytes()
    right = hashed([vector(2, 1)])
    rng = np.random.default_rng(0)
    damaged = [whole[: int(cut)] for cut in rng.integers(0, len(whole), 60)]
    for _ in range(200):
        flipped = bytearray(whole)
        flipped[int(rng.integers(0, len(whole)))] ^= 1 << int(rng.integers(0, 8))
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        (tmp_path / file).write_bytes(content)
        try:
            found = read_vectors(tmp_path / file)
        except ValueError:
            refused += 1
            continue
        assert hashed(found) == right
    assert refused > 150
