"""The demo end to end on a tiny model: what it measures, writes and prints."""

import pytest
import torch

import workbench as wb
from workbench.experiments.demo import DemoSettings, run_demo
from workbench.experiments.demo_report import demo_report, write_demo
from workbench.experiments.questions import TRAINING, UNSEEN, VALIDATION

SETTINGS = DemoSettings(
    promoted="w10 w11",
    training=["w1 w2", "w3 w4"],
    unseen=["w5", "w6 w7", "w8 <script>alert(1)</script>"],
    layer=1,
    other_layers=(0, 3, 99),
    seeds=(1,),
    steps=4,
    scales=(-1.0, 0.5, 1.0),
    random_seeds=(0, 1),
    answer_tokens=6,
)


@pytest.fixture
def result(tiny):
    return run_demo(tiny, SETTINGS, progress=False)


def test_it_measures_every_condition_on_every_unseen_question(result):
    assert list(result.conditions) == ["unsteered", "steered", "negated", "random 0", "random 1"]
    assert {a.begins.proportion.n for a in result.conditions.values()} == {3}
    assert list(result.dose) == [-1.0, 0.0, 0.5, 1.0]
    assert list(result.layers) == [0, 1, 3], "a layer that the model lacks is left out"
    assert [vector.label for vector in result.vectors] == [
        "question 1",
        "question 2",
        "question 1, seed 1",
    ]
    assert result.table().shape == (5, 2)
    assert result.surprisal_sentence()


def test_controls_have_the_vectors_norm(result, tiny):
    control = wb.random_vector(result.run.vector, seed=0)
    assert control.norm == pytest.approx(result.run.vector.norm, rel=1e-5)
    assert control.layer == result.run.vector.layer
    assert control.provenance.method == "random"
    assert not torch.equal(control.values, wb.random_vector(result.run.vector, seed=1).values)


def test_it_writes_vectors_and_a_page_that_loads_nothing_and_runs_nothing(result, tmp_path):
    page = write_demo(result, tmp_path / "demo")
    text = page.read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(wb.VectorSet.load(tmp_path / "demo" / "vectors")) == 3 + 2
    assert demo_report(result).to_html().count("<figure") == 6


def test_what_is_measured_on_is_not_what_is_trained_on():
    assert len(set(UNSEEN)) >= 24
    assert not {*TRAINING, *VALIDATION} & set(UNSEEN)
