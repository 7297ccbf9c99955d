"""Spectra and angles of sets whose answers are known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workbench.analysis import cosine_geometry, random_band
from workbench.analysis.subspaces import angles_to, principal_angles, spectrum


@dataclass
class Vector:
    values: torch.Tensor
    layer: int | tuple[int, ...] = 3
    label: str = ""


def axes(*which, d=16):
    return [Vector(torch.eye(d)[i] * (i + 1), label=f"axis {i}") for i in which]


def test_orthogonal_vectors_have_full_rank_and_copies_have_one():
    assert spectrum(axes(0, 1, 2, 3)).effective_rank == pytest.approx(4)
    copies = spectrum([*axes(2), *axes(2)])
    assert copies.effective_rank == pytest.approx(1)
    assert copies.shares == pytest.approx([1, 0], abs=1e-12)
    assert copies.random_low <= copies.random_rank <= copies.random_high
    assert copies.random_rank > 1.8
    found = spectrum(axes(0, 1, 5))
    units = np.eye(16)[[0, 1, 5]]
    assert found.coordinates @ found.components == pytest.approx(units, abs=1e-12)
    assert found.to_frame()["cumulative"].iloc[-1] == pytest.approx(1)


def test_principal_angles_of_known_spans():
    same = principal_angles(axes(0, 1), axes(1, 0))
    assert same.cosines == pytest.approx([1, 1])
    assert (same.overlap, same.dimensions) == (pytest.approx(1), (2, 2))
    half = principal_angles(axes(0, 1), axes(1, 2))
    assert half.cosines == pytest.approx([1, 0], abs=1e-7)
    assert half.overlap == pytest.approx(0.5)
    assert half.random_overlap == 2 / 16
    turned = principal_angles(axes(0), [Vector(torch.tensor([1.0, 1.0] + [0.0] * 14))])
    assert turned.to_frame()["angle"].iloc[0] == pytest.approx(45)


def test_a_random_overlap_is_what_random_subspaces_have():
    generator = torch.Generator().manual_seed(0)

    def some(n):
        return [Vector(torch.randn(24, generator=generator)) for _ in range(n)]

    found = [principal_angles(some(2), some(5)) for _ in range(200)]
    assert np.mean([each.overlap for each in found]) == pytest.approx(5 / 24, abs=0.02)
    assert found[0].random_overlap == 5 / 24


def test_angles_to_named_directions_stand_beside_a_random_band():
    table = angles_to(axes(0, 1), {"first": torch.eye(16)[0], "odd": torch.ones(16)})
    assert list(table["cosine"]) == pytest.approx([1, 0, 0.25, 0.25])
    assert list(table["beyond"]) == [True, False, False, False]
    with pytest.raises(ValueError, match="'x' must be 16 numbers that are not all zero"):
        angles_to(axes(0), {"x": torch.zeros(16)})
    with pytest.raises(ValueError, match="it has shape"):
        angles_to(axes(0), {"x": torch.ones(4)})


def test_the_band_of_a_covariance_is_the_stricter_null():
    """Activations that vary along few directions make random cosines large."""
    plain = random_band(64)
    white = random_band(64, covariance=torch.eye(64))
    assert white.high == pytest.approx(plain.high, rel=0.1)
    assert white.mean_abs == pytest.approx(plain.mean_abs, rel=0.1)
    few = torch.diag(torch.tensor([1.0] * 4 + [1e-6] * 60))
    assert random_band(64, covariance=few).high > 0.6 > 2 * plain.high
    against = torch.eye(64)[63]
    assert random_band(64, covariance=few, against=against).high < 0.01
    given = [Vector(torch.randn(64, generator=torch.Generator().manual_seed(i))) for i in (0, 1)]
    assert cosine_geometry(given, covariance=few).random.high > 0.6
    with pytest.raises(ValueError, match="the covariance is"):
        random_band(64, covariance=torch.eye(3))


def test_bad_sets_are_refused():
    with pytest.raises(ValueError, match="at least two vectors"):
        spectrum(axes(1))
    with pytest.raises(ValueError, match="different layers"):
        principal_angles(axes(0), [Vector(torch.ones(16), layer=5)])
    with pytest.raises(ValueError, match="different widths"):
        principal_angles(axes(0), axes(0, d=8))
