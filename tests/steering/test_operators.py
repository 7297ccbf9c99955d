"""Edits of low rank equal their formulas, row by row, with the gradient that belongs to them."""

import pytest
import torch

from workbench.steering.operators import add, affine, clamp, low_rank

pytestmark = pytest.mark.tl3


def random(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


X, V = random(2, 3, 8), random(8)
LEFT, RIGHT = random(2, 8, seed=1), random(2, 8, seed=2)
M = LEFT.T @ RIGHT


def test_they_agree_with_their_formulas_in_float64():
    torch.testing.assert_close(low_rank(X, LEFT, RIGHT), X + X @ M.T)
    torch.testing.assert_close(affine(X, LEFT, RIGHT, V), X + X @ M.T + V)
    u, v = RIGHT[:1], LEFT[:1]
    torch.testing.assert_close(low_rank(X, v, u), X + (X @ u[0])[..., None] * v[0])


def test_the_matrix_sees_the_stream_itself_and_not_what_was_added():
    """The published code wrote into the stream it read: `x + v + M(x + v)` (reference, 3.3 U)."""
    edited = affine(X, LEFT, RIGHT, V)
    wrong = low_rank(add(X, V), LEFT, RIGHT)
    assert (edited - wrong).abs().max() > 1
    torch.testing.assert_close(wrong - edited, (M @ V).expand_as(X))


def test_each_row_has_its_own_factors_and_vector():
    left, right = random(2, 2, 8, seed=3), random(2, 2, 8, seed=4)
    vectors = random(2, 1, 8, seed=5)
    together = affine(X, left, right, vectors)
    shared_right = low_rank(X, left, RIGHT)
    for row in range(2):
        one = slice(row, row + 1)
        alone = affine(X[one], left[row], right[row], vectors[row, 0])
        torch.testing.assert_close(together[one], alone)
        torch.testing.assert_close(shared_right[one], low_rank(X[one], left[row], RIGHT))


def test_gradients_flow_through_the_stream_and_everything_that_edits_it():
    inputs = [t.clone().requires_grad_(True) for t in (X, LEFT, RIGHT, V)]
    assert torch.autograd.gradcheck(affine, inputs)
    assert torch.autograd.gradcheck(low_rank, inputs[:3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_it_computes_in_float32_or_wider_and_rounds_once(dtype):
    x = X.to(dtype)
    left, right, v = LEFT.float(), RIGHT.float(), V.float()
    edited = affine(x, left, right, v)
    assert edited.dtype == dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    expected = x.to(wide) + x.to(wide) @ right.T.to(wide) @ left.to(wide) + v
    assert torch.equal(edited, expected.to(dtype))
    assert low_rank(x, left, right).dtype == dtype


def test_what_edits_comes_to_the_device_of_the_stream():
    """The meta device stands for a second GPU: it computes nothing, and mixes with no other."""
    stream = torch.empty(2, 3, 8, device="meta")
    v, left, right = V.float(), LEFT.float(), RIGHT.float()
    column = torch.ones(2, 1, 1)
    for edited in (
        add(stream, v),
        clamp(stream, v, column),
        low_rank(stream, left, right),
        affine(stream, left, right, v),
    ):
        assert edited.device.type == "meta"


def test_a_wrong_width_names_its_axis_under_the_import_hook():
    with pytest.raises(TypeError, match="d_model"):
        low_rank(X, random(2, 7), random(2, 7))
