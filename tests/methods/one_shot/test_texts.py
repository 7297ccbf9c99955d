"""Rows that are drawn a few at a time, and what is minimized of them."""

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.engine import Engine
from workbench.methods.one_shot.texts import lay_out
from workbench.models.text import completion_ids

pytestmark = pytest.mark.tl3

UNEQUAL = [
    wb.Example("w1", promote=[" w10 w11"], suppress=[" w14"]),
    wb.Example("w1 w2 w3 w4 w5 w6 w7 w8 w9", promote=[" w10"]),
    wb.Example("w20 w21 w22", promote=[" w30 w31 w32", " w33"]),
]
STILL = {"start": torch.linspace(-0.2, 0.2, 32), "learning_rate": 1e-9, "progress": False}


def drawn(monkeypatch, model, examples, **settings):
    """Which rows each step of a run used, and the run."""
    seen, answer = [], Engine.answer

    def keep(self, asked):
        seen.extend(request.rows for _, request in asked)
        return answer(self, asked)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "answer", keep)
        run = wb.optimize(model, examples, 1, **STILL, **settings)
    return seen, run


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_completion_is_seen_once_before_any_repeats(tiny, monkeypatch, size):
    seen, _ = drawn(monkeypatch, tiny, UNEQUAL, steps=14, batch_size=size, seed=3)
    assert {len(rows) for rows in seen} == {size}
    flat = [row for rows in seen for row in rows]
    for start in range(0, len(flat) - 4, 5):
        assert sorted(flat[start : start + 5]) == [0, 1, 2, 3, 4]
    assert all(len(set(rows)) == size for rows in seen)
    again, _ = drawn(monkeypatch, tiny, UNEQUAL, steps=14, batch_size=size, seed=3)
    assert seen == again


def test_prompts_of_unequal_length_lose_what_they_lose_alone(tiny, monkeypatch):
    """The published code's indices are off by the padding."""
    seen, run = drawn(monkeypatch, tiny, UNEQUAL, steps=5, batch_size=1)
    full = wb.optimize(tiny, UNEQUAL, 1, steps=1, **STILL)
    expected = [full.completion_losses[0][rows[0]] for rows in seen[:5]]
    assert run.losses == pytest.approx(expected, rel=1e-4)
    for example in UNEQUAL:  # and all at once they lose what they lose alone
        scored = wb.log_prob(
            tiny,
            example.prompt,
            list(example.promote),
            wb.Add(wb.SteeringVector(STILL["start"], 1)),
            coldness=0.7,
        )
        place = sum(len(each.completions) for each in UNEQUAL[: UNEQUAL.index(example)])
        found = full.completion_losses[0][place : place + len(example.promote)]
        assert list(found) == pytest.approx((-scored.total).tolist(), rel=1e-4)


@pytest.mark.parametrize("examples", [UNEQUAL, UNEQUAL[1:2]], ids=["several", "one"])
def test_a_batch_of_all_of_them_is_the_whole(tiny, examples):
    """The published code's second batch is empty."""
    count = sum(len(example.completions) for example in examples)
    settings = {"steps": 3, "progress": False}
    run = wb.optimize(tiny, examples, 1, batch_size=count, **settings)
    full = wb.optimize(tiny, examples, 1, **settings)
    more = wb.optimize(tiny, examples, 1, batch_size=count + 5, **settings)
    assert run.losses == pytest.approx(full.losses, rel=1e-4)
    assert more.losses == pytest.approx(full.losses, rel=1e-4)


def test_batches_work_with_an_affine_map(tiny):
    """The published code names a variable that does not exist."""
    settings = {"steps": 4, "batch_size": 2, "keep": "last", "progress": False}
    run = wb.optimize(tiny, UNEQUAL, 1, intervention="affine", rank=2, **settings)
    assert run.interventions[0].map.rank == 2
    assert len(run.losses) == 4


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("per_token", [False, True])
def test_what_is_minimized_is_the_sum_or_mean_by_completion_or_by_token(tiny, reduction, per_token):
    run = wb.optimize(
        tiny, UNEQUAL, 1, steps=1, reduction=reduction, per_token=per_token, progress=False
    )
    lengths = [
        len(completion_ids(tiny, example.prompt, text)[1])
        for example in UNEQUAL
        for text in example.completions
    ]
    assert lengths == [2, 1, 1, 3, 1]
    losses = torch.tensor(run.completion_losses[0])
    terms = losses / torch.tensor(lengths) if per_token else losses
    expected = float(terms.sum() if reduction == "sum" else terms.mean())
    assert run.objectives[0] == pytest.approx(expected, rel=1e-5)
    assert run.losses[0] == pytest.approx(float(losses.sum()), rel=1e-5)


def test_some_rows_hold_their_own_completions_in_the_order_asked(tiny):
    job = wb.OneShotJob(UNEQUAL, 1, batch_size=2)
    _, (texts,) = lay_out(tiny, [job])
    chosen = texts.selecting([4, 0])
    assert chosen.shared == (texts.shared[4], texts.shared[0])
    assert texts.completions_of([4, 0]) == [0, 4]
    assert chosen.lengths.tolist() == [2.0, 1.0]  # by completion, in the job's order
    readings = chosen.readings
    assert readings.row.tolist() == [0, 1, 1]
    assert chosen.completion.tolist() == [1, 0, 0]
    for field in ("target", "column", "kind"):
        whole = getattr(texts.readings, field)
        assert torch.equal(getattr(readings, field), whole[torch.tensor([7, 0, 1])])
