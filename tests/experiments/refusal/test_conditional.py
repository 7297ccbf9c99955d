"""Refusal behind a gate, from training requests to the page."""

from dataclasses import replace

import pytest

from tests.conftest import boot
from workbench.experiments.refusal import ConditionalSettings, run_conditional
from workbench.experiments.refusal.conditional_page import conditional_page
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

SETTINGS = ConditionalSettings(
    gate_layers=[1],
    gate_kinds=["projection", "cosine", "probe"],
    layers=[[2]],
    scales=[4.0],
    strengths=[1.0],
    train_requests=6,
    validation_requests=2,
    test_requests=2,
    random=1,
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
    assert len(found.tried) == 2
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
