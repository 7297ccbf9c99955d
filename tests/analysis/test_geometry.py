from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workbench.analysis import cosine_geometry, random_band


@dataclass
class Vector:
    values: torch.Tensor
    layer: int | tuple[int, ...] = 3
    label: str = ""


def vectors(n: int, d: int = 16, seed: int = 0) -> list[Vector]:
    generator = torch.Generator().manual_seed(seed)
    return [Vector(torch.randn(d, generator=generator), label=f"v{i}") for i in range(n)]


def test_matrix_is_the_cosines() -> None:
    given = vectors(4)
    geometry = cosine_geometry(given)
    for i, a in enumerate(given):
        for j, b in enumerate(given):
            expected = torch.cosine_similarity(a.values.double(), b.values.double(), dim=0)
            assert geometry.matrix[i, j] == pytest.approx(float(expected), abs=1e-12)
    assert (np.diag(geometry.matrix) == 1).all()
    assert (geometry.matrix == geometry.matrix.T).all()
    assert geometry.norms == pytest.approx([float(v.values.norm()) for v in given])
    assert (geometry.d_model, geometry.order, geometry.linkage) == (16, (0, 1, 2, 3), None)


def test_scale_does_not_matter_and_opposites_are_minus_one() -> None:
    v = torch.randn(8, generator=torch.Generator().manual_seed(1))
    geometry = cosine_geometry([Vector(v), Vector(-1e-6 * v), Vector(1e6 * v)])
    assert geometry.matrix[0].tolist() == pytest.approx([1, -1, 1])
    assert np.abs(geometry.matrix).max() <= 1


def test_half_precision_is_read_exactly() -> None:
    v = torch.randn(64, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert cosine_geometry([Vector(v), Vector(v.float())]).matrix[0, 1] == pytest.approx(1)


def test_frame_has_each_pair_once() -> None:
    given = [*vectors(2), Vector(torch.ones(16), layer=(3, 4), label="x")]
    frame = cosine_geometry(given, across_layers=True).to_frame()
    assert list(frame.columns) == ["a", "b", "cosine", "same_layer"]
    pairs = list(zip(frame["a"], frame["b"], strict=True))
    assert pairs == [("v0", "v1"), ("v0", "x"), ("v1", "x")]
    assert frame["same_layer"].tolist() == [True, False, False]


def test_labels_are_unique_and_never_empty() -> None:
    given = [Vector(torch.ones(4), label=label) for label in ("a", "", "a", "a (2)", "a")]
    assert cosine_geometry(given).labels == ("a", "vector 2", "a (2)", "a (2) (2)", "a (3)")
    assert cosine_geometry(given[:2], labels=["x", "y"]).labels == ("x", "y")
    with pytest.raises(ValueError, match="1 labels for 2"):
        cosine_geometry(given[:2], labels=["x"])


def test_clustering_puts_like_by_like() -> None:
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(2, 32, generator=generator)
    given = [
        Vector(centres[i % 2] + 0.2 * torch.randn(32, generator=generator), label=f"{i % 2}-{i}")
        for i in range(6)
    ]
    geometry = cosine_geometry(given, order="clustered")
    families = [geometry.labels[i][0] for i in geometry.order]
    assert sorted(geometry.order) == list(range(6))
    assert families in (["0"] * 3 + ["1"] * 3, ["1"] * 3 + ["0"] * 3)
    assert geometry.linkage is not None
    assert geometry.linkage.shape == (5, 4)
    assert geometry.labels[0] == "0-0"  # what is stored stays in the order given


def test_one_vector_is_a_geometry_too() -> None:
    geometry = cosine_geometry(vectors(1), order="clustered")
    assert geometry.matrix.tolist() == [[1.0]]
    assert geometry.linkage is None
    assert geometry.to_frame().empty


def test_layers_are_not_mixed_unasked() -> None:
    given = [Vector(torch.ones(4), layer=3), Vector(torch.ones(4), layer=(3,))]
    assert cosine_geometry(given).layers == (3, 3)
    given.append(Vector(torch.ones(4), layer=7))
    with pytest.raises(ValueError, match=r"3, 7.*across_layers"):
        cosine_geometry(given)
    assert cosine_geometry(given, across_layers=True).layers == (3, 3, 7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.zeros(4), "'bad' is zero"),
        (torch.tensor([1.0, float("nan"), 0, 0]), "'bad'.*not finite"),
        (torch.ones(2, 2), "'bad' has shape"),
        (torch.ones(5), "different widths.*'bad': 5"),
    ],
)
def test_bad_vectors_are_named(values: torch.Tensor, message: str) -> None:
    bad = Vector(torch.ones(4), label="bad")
    object.__setattr__(bad, "values", values)
    with pytest.raises(ValueError, match=message):
        cosine_geometry([Vector(torch.ones(4), label="good"), bad])


def test_no_vectors() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        cosine_geometry([])


@pytest.mark.parametrize("d", [2, 3, 16, 576])
def test_random_band_agrees_with_draws(d: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 20_000, d))
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    band = random_band(d)
    low, high = np.quantile(cosines, [0.025, 0.975])
    assert (band.low, band.high) == pytest.approx((low, high), abs=0.03 / np.sqrt(d))
    assert band.mean_abs == pytest.approx(np.abs(cosines).mean(), rel=0.02)
    assert band.low == -band.high


def test_random_band_known_values() -> None:
    assert random_band(2).mean_abs == pytest.approx(2 / np.pi)  # a uniform angle
    assert random_band(3).high == pytest.approx(0.95)  # uniform on -1..1
    with pytest.raises(ValueError, match="two dimensions"):
        random_band(1)
