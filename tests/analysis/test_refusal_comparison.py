"""The comparison measures every vector alike, and the ways are the interventions they name."""

import pandas as pd
import pytest
import torch

from tests.conftest import boot
from workbench.analysis.refusal_comparison import WAYS, compare_refusal
from workbench.analysis.refusal_outcomes import RefusalOutcomes
from workbench.methods import mean_difference, moments, random_vectors
from workbench.methods.affine import concept_edit
from workbench.steering import Ablate, Add, SteeringVector
from workbench.steering.activations import activations

HARMFUL, HARMLESS = ["w1", "w2 w3", "w9"], ["w4", "w5 w6", "w8"]
TRAIN = (["w1 w2", "w3"], ["w7", "w6 w5"])
LAYER = 2
pytest.importorskip("sklearn")
pytestmark = pytest.mark.filterwarnings("ignore:answers of 4 tokens")


@pytest.fixture(scope="module")
def model(tokenizers):
    return boot("llama", tokenizers)


@pytest.fixture(scope="module")
def compared(model):
    """Short answers do: what counts here is what is measured of what, not how a random model is."""
    outcomes = RefusalOutcomes.of(
        model, model, HARMFUL, HARMLESS, "{} ".format, answer_tokens=4, harmless_tokens=4
    )
    like = SteeringVector(torch.ones(model.cfg.d_model), LAYER, label="one")
    vectors = [v.labelled(f"one-shot {i}") for i, v in enumerate(random_vectors(like, 3, 7))]
    (direction,) = mean_difference(model, *TRAIN, layers=[1])
    return compare_refusal(outcomes, vectors, "one-shot 1", direction, *TRAIN, random=2), outcomes


def test_the_best_goes_every_way_and_the_others_are_added(compared):
    found, _ = compared
    ways = found.effects[found.effects["kind"] != "unsteered"].groupby("vector")["way"].agg(list)
    for label in ("one-shot 1", "refusal direction", "difference of means", "random 0"):
        assert ways[label] == list(WAYS)
    assert ways["one-shot 0"] == ways["random 1"] == ["addition"]
    assert next(iter(found.effects["way"])) == ""
    assert found.effects.notna().all().all()
    assert len(found.answers) == len(HARMFUL) * len(found.effects)


def test_contrasts_point_towards_answering(model, compared):
    found, outcomes = compared
    prompts = [[outcomes.ask(each) for each in some] for some in TRAIN]
    (means,) = mean_difference(model, *prompts, layers=[LAYER])
    expected = outcomes.attack(Add(means, -1.0))
    row = found.effects.set_index(["vector", "way"]).loc[("difference of means", "addition")]
    assert row["raw"] == expected.raw.rate
    assert row["kl"] == pytest.approx(outcomes.cost(Add(means, -1.0)).kl)
    ablated = found.effects.set_index(["vector", "way"]).loc[
        ("difference of means", "ablation at all layers")
    ]
    assert ablated["kl"] == pytest.approx(outcomes.cost(Ablate(means)).kl)


def test_affine_is_the_concept_edit_at_strength_zero(model):
    edit = concept_edit(model, *TRAIN, LAYER)
    made = WAYS["affine"](edit.direction, moments(model, TRAIN[1], layers=[LAYER]))
    torch.testing.assert_close(made.map.vector.values, edit.at(0).vector.values)
    torch.testing.assert_close(made.map.left, edit.at(0).left)


def test_geometry_and_projections_name_the_same_vectors(model, compared):
    found, outcomes = compared
    assert set(found.kinds) == set(found.geometry.labels)
    some = found.projections[
        (found.projections["vector"] == "random 0") & found.projections["harmful"]
    ]
    prompts = [outcomes.ask(each) for each in HARMFUL]
    like = SteeringVector(torch.ones(model.cfg.d_model), LAYER, label="one")
    unit = random_vectors(like, 1)[0].normalized().values
    expected = activations(model, prompts, layers=[LAYER])[:, 0] @ unit
    assert list(some["projection"]) == pytest.approx(expected.tolist(), rel=1e-4)
    assert list(found.mediation.cosines) == ["one-shot 0", "one-shot 1", "one-shot 2"]


def test_what_does_not_fit_is_refused(model, compared):
    _, outcomes = compared
    one, other = (SteeringVector(torch.ones(model.cfg.d_model), at, label=str(at)) for at in (1, 2))
    with pytest.raises(ValueError, match="one layer"):
        compare_refusal(outcomes, [one, other], "1", one, *TRAIN)
    for vectors, best in (
        ([one], "best"),
        ([one, one], "1"),
        ([one.labelled("random 0")], "random 0"),
        ([one.labelled("")], ""),
    ):
        with pytest.raises(ValueError, match="a label of its own"):
            compare_refusal(outcomes, vectors, best, one, *TRAIN)


def test_harmless_requests_lie_further_along_what_points_to_answering(model, compared):
    """The difference of means on these very requests: harmful minus harmless, turned round."""
    _, outcomes = compared
    one = SteeringVector(torch.ones(model.cfg.d_model), LAYER, label="one")
    asked = HARMFUL, HARMLESS
    (direction,) = mean_difference(
        model, *[[outcomes.ask(each) for each in some] for some in asked], layers=[LAYER]
    )
    found = compare_refusal(outcomes, [one], "one", direction, *asked, random=1)
    aucs = dict(zip(found.separated.labels, found.separated.auc, strict=True))
    assert aucs["refusal direction"] == aucs["difference of means"] == 1.0
    means = found.projections[found.projections["vector"] == "refusal direction"]
    by_kind = means.groupby("harmful")["projection"].mean()
    assert by_kind[False] > by_kind[True]


def test_with_keep_no_answer_is_made_twice(model, compared, monkeypatch):
    found, outcomes = compared
    tables = {}

    def keep(name, make):
        if name not in tables:
            tables[name] = make()
        return tables[name]

    like = SteeringVector(torch.ones(model.cfg.d_model), LAYER, label="one")
    vectors = [v.labelled(f"one-shot {i}") for i, v in enumerate(random_vectors(like, 3, 7))]
    (direction,) = mean_difference(model, *TRAIN, layers=[1])
    args = outcomes, vectors, "one-shot 1", direction, *TRAIN
    first = compare_refusal(*args, random=2, keep=keep)
    monkeypatch.setattr(RefusalOutcomes, "attack", None)
    again = compare_refusal(*args, random=2, keep=keep)
    for other in (found, first):
        pd.testing.assert_frame_equal(again.effects, other.effects)
    pd.testing.assert_frame_equal(again.mediation.to_frame(), first.mediation.to_frame())
