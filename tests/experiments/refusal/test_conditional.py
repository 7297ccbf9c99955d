"""Refusal behind a gate, from training requests to the page."""

from dataclasses import replace

import pytest
import torch

import workbench as wb
from tests.conftest import boot
from workbench.experiments.refusal import ConditionalSettings, run_conditional
from workbench.experiments.refusal.behind import candidates, promotions
from workbench.experiments.refusal.conditional_page import conditional_page
from workbench.experiments.refusal.judging import prompts_of
from workbench.experiments.settings import read_scale
from workbench.methods import ConceptEdit, concept_edit, random_vectors
from workbench.runs import RunFolder

SETTINGS = ConditionalSettings(
    gate_layers=[1],
    gate_kinds=["projection", "cosine", "probe"],
    gate_requests=8,
    regularization=1.0,
    shut_for=0.75,
    layers=[[2]],
    scales=[4.0],
    strengths=[1.0],
    one_shot_layers=[0, 2],
    one_shot_norms=[4.0],
    one_shot_examples=1,
    train_requests=6,
    validation_requests=2,
    test_requests=2,
    random=1,
    steps=3,
    refusal_tokens=2,
    trial_tokens=3,
    answer_tokens=4,
)


@pytest.fixture
def siblings(requests, tokenizers):
    """The parent is of the same family."""
    return replace(requests, model=boot("llama", tokenizers), parent=boot("llama", tokenizers, 1))


def test_every_step_is_kept_and_on_the_page(siblings, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_conditional(siblings, SETTINGS, folder, progress=False)
    assert len(found.gates) == 3
    assert found.gates["chosen"].sum() == found.tried["chosen"].sum() == 1
    # What would act below the gate is not tried.
    assert list(found.tried["layers"]) == ["2", "2", "2"]
    assert list(found.tried["intervention"][:2]) == ["add", "affine"]
    assert found.tried["intervention"].str.startswith("one-shot 1").sum() == 1
    ways = ["unsteered", "ungated", "gated", "gated, random 1", "aligned sibling"]
    assert list(dict.fromkeys(found.answers["way"])) == ways
    with folder:
        again = run_conditional(siblings, SETTINGS, folder, progress=False)
    assert again.answers.equals(found.answers)
    text = conditional_page(found, read_scale("conditional", "embedded")).to_html()
    assert text.count("<figure") == 1
    for words in ("token for token", "harmful, gated", "probe"):
        assert words in text


def test_answers_are_the_unsteered_ones_where_the_gate_is_shut(siblings, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_conditional(siblings, SETTINGS, folder, progress=False)
    chosen = found.gates[found.gates["chosen"]].iloc[0]
    said = {way: list(rows["answer"]) for way, rows in found.answers.groupby("way")}
    pairs = list(zip(said["gated"], said["unsteered"], said["ungated"], strict=True))
    assert all(gated in (plain, steered) for gated, plain, steered in pairs)
    assert any(plain != steered for _, plain, steered in pairs)
    opened = sum(gated == steered != plain for gated, plain, steered in pairs)
    assert opened <= round(2 * chosen["harmful"] + 2 * chosen["harmless"])
    harmless = [gated == plain for gated, plain, _ in pairs[2:]]
    assert found.identical().rate == sum(harmless) / 2


def test_a_gate_above_all_that_is_tried_is_refused(siblings, tmp_path):
    high = replace(SETTINGS, gate_layers=[1, 3])
    with RunFolder(tmp_path, {}) as folder, pytest.raises(ValueError, match="gate at layer 3"):
        run_conditional(siblings, high, folder, progress=False)


@pytest.mark.parametrize("way", ["add", "affine", "one-shot"])
def test_each_way_is_what_it_says(siblings, way):
    """Against the interventions written out."""
    (vector,) = promotions(siblings, replace(SETTINGS, one_shot_layers=[2]))
    assert vector.norm <= 4.0 + 1e-4
    tried = candidates(siblings, replace(SETTINGS, layers=[[2]]), [vector])
    one = next(each for each in tried if each.row()["intervention"].startswith(way))
    train = prompts_of(siblings, siblings.train, SETTINGS.train_requests)
    edit = concept_edit(siblings.model, *train, 2)
    sibling = edit.direction.rebind(siblings.parent)
    expected = {
        "add": wb.Add(sibling, 4.0),
        "affine": wb.Affine(ConceptEdit(sibling, edit.reference).at(1.0)),
        "one-shot": wb.Add(vector),
    }[way]
    prompts = [siblings.prompt("w1 w2"), siblings.prompt("w5")]
    found, wanted = (
        wb.log_prob(siblings.parent, prompts, ["w7 w8", "w9"], steering).total
        for steering in (one.acting(lambda each: each), expected)
    )
    torch.testing.assert_close(found, wanted)
    (other,) = random_vectors(vector, 1, 0)
    turned = one.acting(lambda _: other)
    assert not torch.allclose(
        wb.log_prob(siblings.parent, prompts, ["w7 w8", "w9"], turned).total, wanted
    )
