"""Sets of vectors: folders, filters, tables."""

import pytest
import torch

import workbench as wb
from workbench.steering import Provenance

pytestmark = pytest.mark.tl3


def make(label, layer, method, **config):
    provenance = Provenance(method, config=config, results={"loss": 0.5, "losses": [1.0, 0.5]})
    return wb.SteeringVector(torch.randn(4), layer, provenance, label)


VECTORS = [
    make("first", 1, "one-shot", learning_rate=0.1),
    make("second", 2, "one-shot", learning_rate=0.2),
    make("a/b <c>", 2, "random"),
]


def test_a_folder_gives_back_the_set_in_order(tmp_path):
    made = wb.VectorSet(VECTORS)
    paths = made.save(tmp_path)
    assert paths[2].name == "002_a-b--c-.safetensors"
    loaded = wb.VectorSet.load(tmp_path)
    assert [v.label for v in loaded] == [v.label for v in VECTORS]
    assert torch.equal(loaded.stack(), made.stack())
    assert loaded.stack().shape == (3, 4)


def test_filters_by_provenance_and_by_function():
    made = wb.VectorSet(VECTORS)
    assert [v.label for v in made.where(method="one-shot")] == ["first", "second"]
    assert [v.label for v in made.where(layer=2, learning_rate=0.2)] == ["second"]
    assert len(made.where(lambda v: v.layer == 2)) == 2
    with pytest.raises(ValueError, match="none of the 3 vectors"):
        made.where(method="caa")
    assert isinstance(made[:2], wb.VectorSet)
    assert made[1].label == "second"


def test_the_frame_has_a_row_for_each():
    frame = wb.VectorSet(VECTORS).to_frame()
    assert list(frame["label"]) == ["first", "second", "a/b <c>"]
    assert {"layer", "norm", "method", "model", "seed", "loss"} <= set(frame.columns)
    assert "losses" not in frame.columns


def test_bad_sets_say_so(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        wb.VectorSet([])
    with pytest.raises(ValueError, match=r"different d_model cannot be stacked: \[3, 4\]"):
        wb.VectorSet([VECTORS[0], wb.SteeringVector(torch.ones(3), 1)])
    with pytest.raises(FileNotFoundError, match="no vector files"):
        wb.VectorSet.load(tmp_path)
