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
from workbench.methods import ConceptEdit, concept_edit, gates, random_vectors
from workbench.runs import RunFolder
from workbench.steering.activations import activations

SETTINGS = ConditionalSettings(
    gate_layers=[1],
    gate_kinds=["projection", "cosine", "probe"],
    gate_requests=8,
    regularization=1.0,
    shut_for=0.75,
    layers=[[2]],
    scales=[4.0],
    strengths=[1.0],
    promoting_layers=[0, 2],
    promoting_norms=[4.0],
    promoting_requests=[1],
    refusal="w9 w8",
    train_requests=6,
    validation_requests=2,
    test_requests=2,
    random=1,
    steps=3,
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
    assert list(found.tried["intervention"]) == ["promotion on 1, norm 4", "add", "affine"]
    best = found.tried[found.tried["refused"] == found.tried["refused"].max()]
    assert best.loc[best["log_prob"].idxmax(), "chosen"]
    ways = ["unsteered", "ungated", "gated", "gated, random 1", "aligned sibling"]
    assert list(dict.fromkeys(found.answers["way"])) == ways
    with folder:
        again = run_conditional(siblings, SETTINGS, folder, progress=False)
    assert again.answers.equals(found.answers)
    text = conditional_page(found, read_scale("conditional", "embedded")).to_html()
    assert text.count("<figure") == 1
    for words in ("token for token", "harmful, gated", "probe"):
        assert words in text


def test_the_gate_decides_between_the_ungated_answer_and_the_unsteered_one(siblings, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_conditional(siblings, SETTINGS, folder, progress=False)
    said = {way: list(rows["answer"]) for way, rows in found.answers.groupby("way")}
    chosen = found.gates[found.gates["chosen"]].iloc[0]
    train = prompts_of(siblings, siblings.train, SETTINGS.gate_requests)
    (gate,) = gates(siblings.parent, *train, [int(chosen["layer"])], chosen["kind"])
    harmless = prompts_of(siblings, siblings.validation, 8)[1]
    shut = activations(siblings.parent, harmless, layers=[gate.layer])[:, 0]
    asked = [*siblings.harmful, *siblings.test[~siblings.test["harmful"]]["request"][:2]]
    prompts = [siblings.prompt(each) for each in asked]
    condition = gate.shut_for(shut, SETTINGS.shut_for)
    opens = condition.holds(activations(siblings.parent, prompts, layers=[gate.layer])[:, 0])
    expected = [
        said["ungated" if opened else "unsteered"][i] for i, opened in enumerate(opens.tolist())
    ]
    assert said["gated"] == expected
    assert said["ungated"] != said["unsteered"]
    assert chosen["harmful"] == opens[:2].double().mean()
    assert chosen["harmless"] == opens[2:].double().mean()
    same = [a == b for a, b in zip(said["gated"][2:], said["unsteered"][2:], strict=True)]
    assert found.identical().rate == sum(same) / 2


def test_each_step_can_be_gone_on_from(siblings, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        whole = run_conditional(siblings, SETTINGS, folder, progress=False)
    for step in ("gates", "tried", "gated"):
        next(tmp_path.glob(f"tables/{step}.jsonl")).unlink()
        with RunFolder(tmp_path, {}) as folder:
            again = run_conditional(siblings, SETTINGS, folder, progress=False)
        assert again.answers.equals(whole.answers)
        assert again.gates.equals(whole.gates)
        assert again.tried.equals(whole.tried)


@pytest.mark.parametrize(
    "none", [{"layers": []}, {"promoting_layers": []}, {"scales": [], "strengths": []}]
)
def test_either_sort_of_candidate_may_be_left_out(siblings, tmp_path, none):
    with RunFolder(tmp_path, {}) as folder:
        found = run_conditional(siblings, replace(SETTINGS, **none), folder, progress=False)
    assert set(found.tried["intervention"].str[:9]) == (
        {"add", "affine"} if "promoting_layers" in none else {"promotion"}
    )


def test_a_gate_above_all_that_is_tried_is_refused(siblings, tmp_path):
    high = replace(SETTINGS, gate_layers=[1, 3])
    with RunFolder(tmp_path, {}) as folder:
        for settings in (high, replace(SETTINGS, layers=[], promoting_requests=[])):
            with pytest.raises(ValueError, match=r"stands at or behind a gate at layer [13]"):
                run_conditional(siblings, settings, folder, progress=False)


def test_a_refusal_is_promoted_with_the_end_of_its_turn(siblings):
    some = replace(SETTINGS, promoting_layers=[2], promoting_requests=[1, 3])
    one, three = promotions(siblings, some)
    end = siblings.parent.tokenizer.eos_token
    asked = prompts_of(siblings, siblings.train, 3)[0]
    for vector, count in ((one, 1), (three, 3)):
        said = [(each["prompt"], each["promote"]) for each in vector.provenance.examples]
        assert said == [(prompt, [f"w9 w8{end}"]) for prompt in asked[:count]]


@pytest.mark.parametrize("way", ["add", "affine", "promotion"])
def test_each_way_is_what_it_says(siblings, way):
    """Against the interventions written out."""
    (vector,) = promotions(siblings, replace(SETTINGS, promoting_layers=[2]))
    assert vector.norm <= 4.0 + 1e-4
    tried = candidates(siblings, SETTINGS, [vector])
    one = next(each for each in tried if each.row()["intervention"].startswith(way))
    train = prompts_of(siblings, siblings.train, SETTINGS.train_requests)
    edit = concept_edit(siblings.model, *train, 2)
    sibling = edit.direction.rebind(siblings.parent)
    expected = {
        "add": wb.Add(sibling, 4.0),
        "affine": wb.Affine(ConceptEdit(sibling, edit.reference).at(1.0)),
        "promotion": wb.Add(vector),
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
