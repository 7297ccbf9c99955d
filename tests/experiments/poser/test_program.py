"""Flips by vectors from one scenario: what is trained, what is chosen on, what is kept."""

import pandas as pd
import pytest
import torch

from workbench.experiments.poser import asking
from workbench.experiments.poser.program import (
    RATES,
    best_of,
    rates,
    run_poser,
    worst_rate,
)
from workbench.experiments.poser.settings import PoserSettings
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

SETTINGS = PoserSettings(
    layer=2,
    norm=20.0,
    learning_rate=0.5,
    steps=3,
    coldness=0.7,
    vectors=3,
    random=2,
    layers=[1, 2],
    norms=[5.0],
    tried=2,
    tried_prompts=4,
    validation_prompts=8,
    test_prompts=8,
    shown_prompts=6,
)


def test_every_step_is_kept_and_a_second_run_makes_none(scenarios, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_poser(scenarios, SETTINGS, folder, progress=False)
    assert len(found.test) == (3 + 2) * 2 * 6
    assert len(found.chosen) == 2 * 8
    assert set(found.chosen["vector"]) == {found.best}
    fewer = found.test[found.test["vector"] == found.best]
    same = found.chosen[found.chosen["prompt"] < 6]
    assert list(fewer["flipped"]) == list(same["flipped"])
    assert set(found.test["kind"]) == {"one-shot", "random"}
    assert len(found.tried) == 2 * 2 * 2 * 4
    assert found.best in set(found.validation["vector"])
    assert list(found.vectors["norm"]) == pytest.approx([20.0] * 3)
    assert set(found.unsteered) == {"group", "stated", "right"}
    for interval in found.distribution().values():
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1
        assert (interval.n_vectors, interval.n_prompts) in ((3, 2), (3, 4))

    monkeypatch.setattr(asking, "optimize_batch", None)
    monkeypatch.setattr(asking, "flips", None)
    with RunFolder(tmp_path, {}) as folder:
        again = run_poser(scenarios, SETTINGS, folder, progress=False)
    pd.testing.assert_frame_equal(again.test, found.test)
    assert again.best == found.best


def test_vectors_are_trained_on_good_oversight_only(scenarios, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        run_poser(scenarios, SETTINGS, folder, progress=False)
    train = scenarios.train
    good = [f"{scenarios.prompt(row, False)}" for _, row in train[~train.poor_oversight].iterrows()]
    for vector in folder.vectors_of("one-shot"):
        texts = [each["prompt"] for each in vector.provenance.examples]
        assert any(texts[0].startswith(prompt) for prompt in good)


def decisions(vector, flipped):
    """One prompt a rate and flip; `flipped` in the order of RATES."""
    return pd.DataFrame(
        {"vector": vector, "way": way, "group": group, "prompt": i, "stated": 0, "flipped": each}
        for (way, group), flags in zip(RATES, flipped, strict=True)
        for i, each in enumerate(flags)
    )


def test_the_best_vector_is_the_one_whose_worst_rate_is_best():
    one_sided = decisions("a", [[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    even = decisions("b", [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert worst_rate(one_sided) == 0.25
    assert worst_rate(even) == 0.75
    assert best_of(pd.concat([one_sided, even])) == "b"
    table = rates(pd.concat([one_sided, even])).set_index(["vector", "way", "group"])
    assert table.loc[("b", "-v", "good"), "flipped"] == 0.25
    assert table.loc[("b", "-v", "good"), "n"] == 4
    assert (table["neither"] == 0).all()


@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_settings_of_both_scales_read(scale):
    read = read_scale("poser", scale)
    settings = read.of(PoserSettings, seed=3)
    assert settings.seed == 3
    assert settings.letters == (scale == "paper")
    assert set(read.published) == {f"{way} {group}" for way, group in RATES}


def test_torch_is_left_as_it_was(scenarios, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        run_poser(scenarios, SETTINGS, folder, progress=False)
    assert not any(p.grad is not None for p in scenarios.model.parameters())
    assert torch.is_grad_enabled()
