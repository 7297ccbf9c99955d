"""The page about saved vectors: what it shows with and without the model."""

import pytest
import torch

from workbench.experiments.vectors_report import MOST_LENSES, read_all, vectors_report
from workbench.methods import random_vectors
from workbench.steering import SteeringVector, VectorSet


def vectors(model, count):
    like = SteeringVector(torch.ones(model.cfg.d_model), 1, label="like")
    return VectorSet(v.labelled(f"<b>{i}") for i, v in enumerate(random_vectors(like, count)))


def test_files_and_folders_are_joined_in_order(tiny, tmp_path):
    made = vectors(tiny, 3)
    made.save(tmp_path / "set")
    unnamed = SteeringVector(torch.ones(tiny.cfg.d_model), 2).save(tmp_path / "alone.safetensors")
    found = read_all([unnamed, tmp_path / "set"])
    assert [vector.label for vector in found] == ["alone", "<b>0", "<b>1", "<b>2"]
    with pytest.raises(FileNotFoundError):
        read_all([tmp_path / "missing.safetensors"])
    with pytest.raises(ValueError, match="no vectors to report"):
        read_all([])


def test_the_page_has_geometry_and_with_the_model_lenses(tiny):
    held = vectors(tiny, 3)
    alone = vectors_report(held).to_html()
    assert alone.count("<figure") == 2
    assert "<b>0" not in alone
    assert alone.count("<details") == 3
    assert vectors_report(held, tiny).to_html().count("<figure") == 2 + 3
    assert vectors_report(VectorSet([held[0]])).to_html().count("<figure") == 0


def test_of_many_vectors_the_first_lenses_are_shown_and_that_is_said(tiny):
    page = vectors_report(vectors(tiny, MOST_LENSES + 2), tiny).to_html()
    assert page.count("<figure") == 2 + MOST_LENSES
    assert f"The first {MOST_LENSES} of {MOST_LENSES + 2} vectors" in page


def test_vectors_of_several_layers_have_no_spectrum_and_a_warning(tiny):
    (one,), (two,) = vectors(tiny, 1), vectors(tiny, 1)
    other = SteeringVector(two.values * 2, 2, label="other")
    page = vectors_report(VectorSet([one, other])).to_html()
    assert page.count("<figure") == 1
    assert "compare such cosines with care" in page
