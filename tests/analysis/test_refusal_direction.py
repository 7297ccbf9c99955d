"""Candidates, their scores against plain computations, and which one is chosen."""

import numpy as np
import pytest

import workbench as wb
from workbench.analysis.refusal_direction import candidates, select_refusal_direction
from workbench.analysis.refusal_metric import RefusalMetric, last_log_probs
from workbench.steering.activations import activations

HARMFUL = [f"w{i} w{i + 9} w70 w71 " for i in range(4)]
HARMLESS = [f"w{i + 40} w{i + 2} w70 w71 " for i in range(4)]


@pytest.fixture
def metric(tiny):
    """The likeliest token after a harmful prompt, so that there is something to be refused."""
    read = last_log_probs(tiny, HARMFUL).exp().mean(0) - last_log_probs(tiny, HARMLESS).exp().mean(
        0
    )
    return RefusalMetric((int(read.argmax()),), ("x",), (), 1.0, 4, 4)


def shifted(metric, by):
    class Shifted(RefusalMetric):
        def __call__(self, model, prompts, steering=()):
            return super().__call__(model, prompts, steering) + by

    return Shifted(metric.tokens, metric.texts, (), 1.0, 4, 4)


def middle(tiny, metric):
    """The metric moved so that some harmful prompts are refused and some harmless ones answered."""
    high, low = metric(tiny, HARMFUL).max(), metric(tiny, HARMLESS).min()
    return shifted(metric, -(high + low) / 2)


def test_candidates_are_differences_of_means_at_each_token_and_layer(tiny):
    found = candidates(tiny, HARMFUL, HARMLESS, 3, [0, 2])
    assert [(v.layer, v.provenance.config["token"]) for v in found] == [
        (0, -3),
        (2, -3),
        (2, -2),
        (2, -1),
    ], "the last two tokens are the same in all prompts: nothing differs at layer 0"
    for token, vector in ((-1, found[3]), (-2, found[2])):
        at = wb.Positions.span(token, token + 1 or None)
        means = [
            activations(tiny, some, layers=[2], positions=at)[:, 0].mean(0)
            for some in (HARMFUL, HARMLESS)
        ]
        assert vector.values.tolist() == pytest.approx((means[0] - means[1]).tolist(), abs=1e-5)


def test_scores_are_under_ablation_and_addition_and_the_least_refused_is_chosen(
    tiny, metric, monkeypatch
):
    moved = middle(tiny, metric)
    found = select_refusal_direction(
        tiny, HARMFUL, HARMLESS, moved, HARMFUL, HARMLESS, tokens=2, largest_kl=1e9, progress=False
    )
    table = found.candidates
    assert set(table["layer"]) == {1, 2, 3}, "all are under 0.8 of four layers"
    asked = [p for p, s in zip(HARMFUL, moved(tiny, HARMFUL), strict=True) if s > 0]
    fine = [p for p, s in zip(HARMLESS, moved(tiny, HARMLESS), strict=True) if s < 0]
    assert (found.n_harmful, found.n_harmless) == (len(asked), len(fine))
    vector = next(
        v for v in candidates(tiny, HARMFUL, HARMLESS, 2, [2]) if v.provenance.config["token"] == -1
    )
    row = table[(table["layer"] == 2) & (table["token"] == -1)].iloc[0]
    assert row["bypass"] == pytest.approx(np.mean(moved(tiny, asked, wb.Ablate(vector))), abs=1e-4)
    assert row["induce"] == pytest.approx(np.mean(moved(tiny, fine, wb.Add(vector))), abs=1e-4)
    before = last_log_probs(tiny, fine)
    after = last_log_probs(tiny, fine, wb.Ablate(vector))
    kl = float((before.exp() * (before - after)).sum(-1).mean())
    assert row["kl"] == pytest.approx(kl, abs=1e-5)
    kept = table[table["kept"]]
    assert table["chosen"].sum() == 1
    assert kept["bypass"].min() == table[table["chosen"]]["bypass"].iloc[0]
    assert found.vector.layer == int(table[table["chosen"]]["layer"].iloc[0])


def test_where_nothing_keeps_the_bounds_it_says_so(tiny, metric):
    moved = middle(tiny, metric)
    with pytest.raises(ValueError, match=r"no candidate keeps the bounds: .* 0 have a KL under"):
        select_refusal_direction(
            tiny,
            HARMFUL,
            HARMLESS,
            moved,
            HARMFUL,
            HARMLESS,
            tokens=1,
            largest_kl=-1.0,
            progress=False,
        )
    with pytest.raises(ValueError, match="0 harmful ones are refused"):
        select_refusal_direction(
            tiny, HARMFUL, HARMLESS, shifted(metric, -1e3), HARMFUL, HARMLESS, progress=False
        )
