"""Random vectors: of the norm beside which they stand, and drawn as they should be."""

import pytest
import torch

import workbench as wb
from workbench.methods import random_vector, random_vectors

LIKE = wb.SteeringVector(torch.tensor([3.0, 0.0, 4.0, 0.0]), layer=2)


def test_they_have_the_norm_and_layer_and_repeat_by_seed():
    found = random_vectors(LIKE, 3, seed=5)
    assert [vector.layer for vector in found.vectors] == [2, 2, 2]
    assert [vector.norm for vector in found.vectors] == pytest.approx([5.0] * 3)
    torch.testing.assert_close(found.vectors[1].values, random_vector(LIKE, 6).values)


def test_they_are_not_where_vectors_of_the_same_seed_start():
    start = torch.randn(4, generator=torch.Generator().manual_seed(3))
    cosine = torch.nn.functional.cosine_similarity(random_vector(LIKE, 3).values, start, dim=0)
    assert abs(float(cosine)) < 0.99


def test_directions_follow_the_covariance():
    covariance = torch.diag(torch.tensor([100.0, 1.0, 0.0, 0.0]))
    many = random_vectors(LIKE, 400, covariance=covariance).stack()
    assert many[:, 2:].abs().max() < 1e-5
    assert (many[:, 0].abs() > many[:, 1].abs()).float().mean() > 0.85
    assert many[:, 0].mean().abs() < 1
    uniform = random_vectors(LIKE, 400).stack()
    torch.testing.assert_close(
        uniform.square().mean(0), torch.full((4,), 25 / 4), atol=1.0, rtol=0.0
    )


@pytest.mark.parametrize(
    ("covariance", "message"), [(torch.eye(3), "width 4"), (torch.zeros(4, 4), "is zero")]
)
def test_covariances_that_do_not_do_are_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        random_vector(LIKE, 0, covariance=covariance)
