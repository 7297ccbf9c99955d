"""Affine concept editing: its formula, and the edits it holds as special cases."""

import pytest
import torch

import workbench as wb
from workbench.methods.affine import ConceptEdit, concept_edit
from workbench.models.hooked import logits
from workbench.steering import operators
from workbench.steering.activations import activations
from workbench.steering.affine import Affine, AffineMap

WITH, WITHOUT = ["w1 w2", "w3", "w4 w5 w6"], ["w7", "w8 w9"]
LAYER = 2


@pytest.fixture
def edit(tiny):
    return concept_edit(tiny, WITH, WITHOUT, LAYER)


@pytest.fixture
def stream(edit):
    return torch.randn(2, 3, edit.direction.d_model, generator=torch.Generator().manual_seed(0))


def applied(made: AffineMap, stream: torch.Tensor) -> torch.Tensor:
    assert made.vector is not None
    return operators.affine(stream, made.left, made.right, made.vector.values)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_it_is_the_formula_of_the_paper(edit, stream, strength):
    r = edit.direction.values
    onto = torch.outer(r, r) / (r @ r)
    expected = stream - stream @ onto + edit.reference @ onto + strength * r
    torch.testing.assert_close(applied(edit.at(strength), stream), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("strength", "group"), [(0.0, WITHOUT), (1.0, WITH)])
def test_every_prompt_gets_the_component_of_the_group(tiny, edit, stream, strength, group):
    unit = edit.direction.values / edit.direction.norm
    mean = activations(tiny, group, layers=[LAYER]).mean(0)[0] @ unit
    components = applied(edit.at(strength), stream) @ unit
    torch.testing.assert_close(components, mean.expand_as(components), atol=1e-4, rtol=1e-4)


def test_without_the_reference_it_is_ablation_and_addition(edit, stream):
    r = edit.direction.values
    bare = ConceptEdit(edit.direction, torch.zeros_like(edit.reference))
    torch.testing.assert_close(applied(bare.at(0), stream), operators.ablate(stream, r))
    torch.testing.assert_close(
        applied(bare.at(0.7), stream), operators.add(operators.ablate(stream, r), 0.7 * r)
    )


def test_without_the_projections_it_is_addition(edit, stream):
    """What the edit adds beyond its projections is the direction, times the strength."""
    both = applied(edit.at(0.7), stream) - applied(edit.at(0.0), stream)
    torch.testing.assert_close(
        stream + both,
        operators.add(stream, 0.7 * edit.direction.values),
        atol=1e-5,
        rtol=1e-4,
    )


def test_it_steers_and_says_where_it_is_from(tiny, edit):
    tokens = torch.tensor([[1, 2, 3]])
    before = logits(tiny, tokens)
    with wb.steer(tiny, Affine(edit.at(1.0))):
        assert not torch.equal(logits(tiny, tokens), before)
    record = edit.at(1.0).provenance
    assert record.method == "affine concept edit"
    assert record.config["strength"] == 1.0
    assert record.config["from"]["method"] == "mean-difference"


def test_what_does_not_fit_is_refused(edit):
    with pytest.raises(ValueError, match="the reference has shape"):
        ConceptEdit(edit.direction, torch.zeros(3))
    with pytest.raises(ValueError, match="zero"):
        ConceptEdit(edit.direction * 0.0, edit.reference)
