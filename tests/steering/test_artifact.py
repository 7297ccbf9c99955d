"""Tensor files: written whole or not at all, and refused in words."""

import pytest
import torch

from workbench.steering.artifact import read_tensors, refusing_damage, write_tensors

pytestmark = pytest.mark.tl3

SCHEMA = "steering-workbench/thing/1"


def test_tensors_and_text_come_back_bit_for_bit(tmp_path):
    tensors = {"a": torch.randn(2, 3).T, "b": torch.tensor([float("inf")])}
    path = write_tensors(tmp_path / "deep" / "x.safetensors", SCHEMA, tensors, {"word": "<ü>"})
    read, record = read_tensors(path, SCHEMA, "thing")
    assert record == {"schema": SCHEMA, "word": "<ü>"}
    assert set(read) == {"a", "b"}
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_files_that_are_not_ours_are_refused_in_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="no thing file at"):
        read_tensors(tmp_path / "absent", SCHEMA, "thing")
    path = write_tensors(tmp_path / "x", SCHEMA, {"a": torch.ones(1)}, {})
    whole = path.read_bytes()
    for cut in (0, 7, 30, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="cut short"):
            read_tensors(path, SCHEMA, "thing")
    many = {f"w{i}": torch.ones(1) for i in range(9)}
    write_tensors(path, "steering-workbench/thing/2", many, {})
    with pytest.raises(ValueError, match=r"no thing file of schema.*thing/2.* and 4 more"):
        read_tensors(path, SCHEMA, "thing")


def test_damage_is_a_value_error_that_names_the_file():
    message = "f holds a damaged thing: it has no 'layers'"
    with pytest.raises(ValueError, match=message), refusing_damage("f", "thing"):
        raise KeyError("layers")
    with pytest.raises(KeyboardInterrupt), refusing_damage("f", "thing"):
        raise KeyboardInterrupt
