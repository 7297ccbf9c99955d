"""Features that make a vector up are found in a synthetic dictionary."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workbench.analysis.dictionary import load_dictionary, match_dictionary
from workbench.steering import SteeringVector

WIDTH, ROWS = 64, 400


@pytest.fixture(scope="module")
def rows():
    made = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))
    return made * torch.linspace(0.5, 3, ROWS)[:, None]


def unit(row):
    return row / row.norm()


def test_the_features_of_a_sum_are_found_with_their_weights(rows):
    vector = SteeringVector(5 * unit(rows[17]) - 3 * unit(rows[230]), 1, label="v")
    found = match_dictionary(vector, rows, top=5, sparse=2)
    assert set(found.features[:2]) == {17, 230}
    assert found.cosines[0] == pytest.approx(vector.cosine(SteeringVector(rows[17], 1)), abs=1e-6)
    weights = dict(zip(found.fitted.tolist(), found.coefficients.tolist(), strict=True))
    assert weights == pytest.approx({17: 5.0, 230: -3.0}, abs=1e-4)
    assert found.explained[-1] == pytest.approx(1.0, abs=1e-9)
    assert list(found.to_frame()["feature"]) == found.features.tolist()


def test_a_random_vector_is_no_nearer_than_random_ones(rows):
    generator = torch.Generator().manual_seed(3)
    vector = SteeringVector(torch.randn(WIDTH, generator=generator), 1)
    found = match_dictionary(vector, rows)
    assert abs(found.cosines[0]) == pytest.approx(found.random_max, abs=0.1)
    assert (np.diff(found.explained) > 0).all()


def test_rows_of_zeros_are_never_near(rows):
    padded = torch.cat([torch.zeros(3, WIDTH), rows])
    vector = SteeringVector(rows[0], 1)
    found = match_dictionary(vector, padded, top=3, sparse=3)
    assert found.features[0] == 3
    assert set(found.fitted.tolist()) == {3}  # the vector is that row: nothing is left to fit


def test_a_file_of_one_matrix_is_read_and_of_several_the_one_named(rows, tmp_path):
    save_file({"W_dec": rows}, tmp_path / "one.safetensors")
    assert torch.equal(load_dictionary(tmp_path / "one.safetensors"), rows)
    save_file({"W_dec": rows, "b_dec": rows[0].clone()}, tmp_path / "two.safetensors")
    assert torch.equal(load_dictionary(tmp_path / "two.safetensors", "W_dec"), rows)
    with pytest.raises(ValueError, match="say which is the decoder"):
        load_dictionary(tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match="not \\(n, d_model\\)"):
        load_dictionary(tmp_path / "two.safetensors", "b_dec")
    (tmp_path / "cut.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cut short"):
        load_dictionary(tmp_path / "cut.safetensors")
    with pytest.raises(FileNotFoundError, match="no dictionary"):
        load_dictionary(tmp_path / "none.safetensors")


def test_what_does_not_fit_is_refused(rows):
    vector = SteeringVector(torch.ones(WIDTH + 1), 1)
    with pytest.raises(ValueError, match="wide"):
        match_dictionary(vector, rows)
    with pytest.raises(ValueError, match="of 400 rows"):
        match_dictionary(SteeringVector(torch.ones(WIDTH), 1), rows, top=500)
    with pytest.raises(ValueError, match="sparse=0"):
        match_dictionary(SteeringVector(torch.ones(WIDTH), 1), rows, sparse=0)
