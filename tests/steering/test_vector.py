"""Vectors: arithmetic, files that are whole or refused, and the model they belong to."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.conftest import tiny_hf, wrap
from workbench.steering import Provenance
from workbench.steering.vector import SCHEMA

pytestmark = pytest.mark.tl3

A = wb.SteeringVector(torch.tensor([3.0, 0.0, 4.0]), 2)
B = wb.SteeringVector(torch.tensor([0.0, 2.0, 0.0]), 2)


def test_arithmetic_norm_and_cosine():
    assert A.norm == pytest.approx(5.0)
    assert (A + B).values.tolist() == [3.0, 2.0, 4.0]
    assert (A - B).values.tolist() == [3.0, -2.0, 4.0]
    assert (2 * A).values.tolist() == (A * 2).values.tolist() == [6.0, 0.0, 8.0]
    assert (A / 2).norm == pytest.approx(2.5)
    assert (-A).cosine(A) == pytest.approx(-1.0)
    assert A.cosine(B) == pytest.approx(0.0)
    assert A.normalized().norm == pytest.approx(1.0)
    assert A.normalized(7.0).cosine(A) == pytest.approx(1.0)
    assert (A * 2).provenance.config["from"]["method"] == "by hand"


def test_its_values_are_its_own_and_float32():
    values = torch.ones(3, dtype=torch.float64, requires_grad=True)
    vector = wb.SteeringVector(values, 1)
    with torch.no_grad():
        values += 1
    assert vector.values.tolist() == [1.0, 1.0, 1.0]
    assert vector.values.dtype == torch.float32
    assert not vector.values.requires_grad


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: wb.SteeringVector(torch.tensor([1.0, float("nan")]), 1), "index 1"),
        (lambda: wb.SteeringVector(torch.tensor([float("inf")]), 1), "NaN or infinite"),
        (lambda: wb.SteeringVector(torch.ones(2, 3), 1), "d_model"),
        (lambda: wb.SteeringVector(torch.ones(3), -1), "layer must be"),
        (lambda: wb.SteeringVector(torch.ones(3), (1, 1)), "distinct"),
        (lambda: wb.SteeringVector(torch.zeros(3), 1).normalized(), "no direction"),
        (lambda: A + wb.SteeringVector(torch.ones(3), 5), "different layers"),
        (lambda: A.cosine(wb.SteeringVector(torch.ones(4), 2)), "different d_model"),
    ],
)
def test_bad_vectors_say_so(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_file_gives_back_the_same_vector(tmp_path, tiny):
    provenance = Provenance.of(
        "test", tiny, seed=3, config={"a": [1, 2]}, examples=({"prompt": "<script>"},)
    )
    vector = wb.SteeringVector(torch.randn(32), (1, 3), provenance, "a label")
    path = vector.save(tmp_path / "deep" / "v.safetensors")
    loaded = wb.SteeringVector.load(path)
    assert torch.equal(loaded.values, vector.values)
    assert (loaded.layer, loaded.label) == ((1, 3), "a label")
    assert loaded.provenance == provenance
    assert [p.name for p in path.parent.iterdir()] == ["v.safetensors"], "no leftovers"


def test_saving_fails_whole(tmp_path, monkeypatch):
    path = A.save(tmp_path / "v.safetensors")
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.steering.artifact.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        B.save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_damaged_files_are_refused_in_words(tmp_path, tiny):
    path = A.save(tmp_path / "v.safetensors")
    whole = path.read_bytes()
    for cut in (0, 4, 20, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="cut short"):
            wb.SteeringVector.load(path)
    header = struct.unpack("<Q", whole[:8])[0]
    data = json.loads(whole[8 : 8 + header])
    assert data["__metadata__"]["schema"] == SCHEMA

    def saved(values, **metadata):
        full = {"schema": SCHEMA, "layers": "2", "provenance": Provenance("x").to_json()}
        save_file({"values": values}, path, metadata={**full, **metadata})

    for metadata, message in (
        ({"schema": "steering-workbench/vector/99"}, "vector/99"),
        ({"layers": "two"}, "damaged"),
        ({"provenance": "not json"}, "damaged"),
        ({"provenance": '{"method": "x"}'}, "damaged"),
    ):
        saved(torch.ones(3), **metadata)
        with pytest.raises(ValueError, match=message):
            wb.SteeringVector.load(path)
    saved(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="NaN"):
        wb.SteeringVector.load(path)
    saved(torch.ones(31), provenance=Provenance.of("x", tiny).to_json())
    with pytest.raises(ValueError, match="31 values, its model is 32 wide"):
        wb.SteeringVector.load(path)
    save_file({"weights": torch.ones(3)}, path)
    with pytest.raises(ValueError, match="no vector file of schema"):
        wb.SteeringVector.load(path)
    with pytest.raises(FileNotFoundError, match="no vector file"):
        wb.SteeringVector.load(tmp_path / "absent.safetensors")


def test_a_vector_of_a_folded_basis_does_not_act_on_raw_weights(tiny, tokenizers):
    folded = wrap(tiny_hf("llama"), tokenizers[True], name="tiny-llama", compatibility_mode=True)
    vector = wb.SteeringVector(torch.ones(32), 1, Provenance.of("test", folded))
    assert vector.provenance.model.weight_processing == "folded"
    with pytest.raises(ValueError, match="weight_processing 'folded', this one has 'raw'"):
        vector.check_model(tiny)


def test_a_wrong_shape_names_its_axis_under_the_import_hook():
    from workbench.steering.operators import add

    with pytest.raises(TypeError, match="d_model"):
        add(torch.zeros(2, 3, 8), torch.zeros(7))
