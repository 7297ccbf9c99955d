"""Flips by vectors from one scenario: what is trained, what is chosen on, what is kept."""

import pandas as pd
import pytest
import torch

from workbench.experiments.poser import asking
from workbench.experiments.poser.program import (
    RATES,
    best_of,
    best_place,
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
    random_prompts=4,
)


def test_every_step_is_kept_and_a_second_run_makes_none(scenarios, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_poser(scenarios, SETTINGS, folder, progress=False)
    assert len(found.test) == 3 * 2 * 6 + 2 * 2 * 4
    assert len(found.chosen) == 2 * 2 * 8
    first = found.chosen.groupby(["prompt", "swapped"])["harmful_first"].first().unstack()
    assert (first[False] != first[True]).all()
    assert list(first[False]) == list(scenarios.test["harmful"] == 0)
    assert set(found.chosen["vector"]) == {found.best}
    fewer = found.test[found.test["vector"] == found.best]
    same = found.chosen[(found.chosen["prompt"] < 6) & ~found.chosen["swapped"]]
    assert list(fewer["flipped"]) == list(same["flipped"])
    assert set(found.test["kind"]) == {"one-shot", "random"}
    assert len(found.tried) == 2 * 2 * 2 * 4
    assert found.best in set(found.validation["vector"])
    assert list(found.vectors["norm"]) == pytest.approx([5.0] * 3)
    place = best_place(found.tried, [(1, 5.0), (2, 5.0)])
    assert (found.settings.layer, found.settings.norm) == place
    assert set(found.vectors["layer"]) == {place[0]}
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


def test_the_best_place_is_judged_by_all_its_vectors_and_ties_by_the_mean():
    def at(number, layer, *flags):
        return decisions(f"scenario {number}, layer {layer}, norm 5", flags)

    none, half, whole = [0, 0], [0, 1], [1, 1]
    weak = pd.concat([at(1, 1, none, none, none, none), at(2, 1, whole, none, none, none)])
    better = pd.concat([at(1, 2, whole, none, none, none), at(2, 2, whole, none, none, none)])
    best = pd.concat([at(1, 3, half, half, none, none), at(2, 3, half, none, none, none)])
    places = [(1, 5.0), (2, 5.0), (3, 5.0)]
    assert best_place(pd.concat([weak, better]), places) == (2, 5.0)
    assert best_place(pd.concat([weak, better, best]), places) == (3, 5.0)


def test_exchanged_actions_are_the_same_scenario(scenarios):
    asked = asking.Asking(scenarios, SETTINGS, False)
    frame = scenarios.test
    (vector,) = asking.vectors_at(asked, [(1, 5.0)], 1)
    swapped = asked.decisions([vector], frame, swapped=True)
    other = frame.assign(
        actions=[pair[::-1] for pair in frame["actions"]], harmful=1 - frame["harmful"]
    )
    plain = asked.decisions([vector], other)
    pd.testing.assert_frame_equal(swapped.drop(columns="swapped"), plain.drop(columns="swapped"))


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
