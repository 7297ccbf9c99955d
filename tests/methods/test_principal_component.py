"""Reading vectors: the component of the pairs' differences, with the labels' sign."""

import pytest
import torch

from workbench.methods.principal_component import _component, principal_component
from workbench.steering.activations import activations

POSITIVE = [f"w{i} w{i + 1} w50" for i in range(8)]
NEGATIVE = [f"w{i} w{i + 1} w60" for i in range(8)]


def test_it_is_scikit_learns_component_of_the_turned_differences(tiny):
    (found,) = principal_component(tiny, POSITIVE, NEGATIVE, layers=[2], seed=3)
    read = [activations(tiny, some, layers=[2])[:, 0].double() for some in (POSITIVE, NEGATIVE)]
    differences = read[0] - read[1]
    generator = torch.Generator().manual_seed(3)
    signs = (torch.randperm(8, generator=generator) % 2)[:, None] * 2.0 - 1
    decomposition = pytest.importorskip("sklearn.decomposition")
    expected = torch.tensor(decomposition.PCA(1).fit((differences * signs).numpy()).components_[0])
    cosine = torch.nn.functional.cosine_similarity(found.values.double(), expected, dim=0)
    assert abs(float(cosine)) == pytest.approx(1.0, abs=1e-6)
    unit = found.values.double() / found.norm
    assert found.norm == pytest.approx(abs(float((differences @ unit).mean())), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", [2, 3, 4, 40])
def test_a_planted_concept_is_found_with_its_sign(seed, pairs):
    generator = torch.Generator().manual_seed(seed)
    concept = torch.randn(16, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(pairs, 16, generator=generator, dtype=torch.float64)
    found = _component(concept + noise, seed, 0)
    cosine = torch.nn.functional.cosine_similarity(found, concept, dim=0)
    assert float(cosine) > 0.97
    assert float(found.norm()) == pytest.approx(float(concept.norm()), rel=0.1)


def test_layers_at_which_pairs_do_not_differ_are_left_out(tiny):
    """At a token of the template, the same in all prompts, nothing differs in the first layer."""
    prompts = [[f"{text} w70 " for text in some] for some in (POSITIVE, NEGATIVE)]
    found = principal_component(tiny, *prompts)
    assert [vector.layer for vector in found] == [1, 2, 3]


def test_every_layer_has_one_and_says_where_it_is_from(tiny):
    found = principal_component(tiny, POSITIVE, NEGATIVE, layers=[1, 3], seed=5)
    assert [vector.layer for vector in found] == [1, 3]
    record = found[0].provenance
    assert (record.method, record.seed, record.config["n_pairs"]) == ("principal-component", 5, 8)


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        (["w1"], ["w2"], "two pairs or more"),
        (["w1", "w2"], ["w3"], "a negative prompt for each"),
        (["w1", "w1"], ["w2", "w2"], "more than once"),
        (["w1", "w2"], ["w1", "w2"], "do not differ at layer"),
    ],
)
def test_pairs_that_do_not_serve_are_refused(tiny, positive, negative, message):
    with pytest.raises(ValueError, match=message):
        principal_component(tiny, positive, negative, layers=[1])
