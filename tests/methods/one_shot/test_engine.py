"""However the points are packed, each descent goes its own way."""

import math

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.engine import Engine
from workbench.methods.one_shot.objective import Objective
from workbench.methods.one_shot.request import Request
from workbench.methods.one_shot.texts import lay_out
from workbench.models.hooked import n_layers

PROMOTED = wb.Example("w1 w2 w3", promote=[" w10 w11"])
MIXED = wb.Example("w4 w5 w6 w7", promote=[" w10", " w13 w14 w15"], suppress=[" w16"])
SPAN = wb.Positions.span(-3, None)
JOBS = [
    wb.OneShotJob([PROMOTED], 1, steps=3, seed=1),
    wb.OneShotJob([MIXED], 1, steps=3, seed=2, intervention="clamp"),
    wb.OneShotJob([MIXED, PROMOTED], (1, 2), steps=2, intervention="affine", rank=2, seed=3),
    wb.OneShotJob([PROMOTED], 3, steps=3, noise=wb.Noise(0.1, samples=3), seed=4),
    wb.OneShotJob([PROMOTED], 1, steps=2, optimizer="lbfgs", seed=5),
    wb.OneShotJob([MIXED], (1, 3), steps=2, one_a_layer=True, positions=wb.Positions.last(1)),
]


def close(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        pairs = zip([*one.losses, one.loss], [*other.losses, other.loss], strict=True)
        if not all(abs(a - b) < 1e-3 * max(b, 0.5) for a, b in pairs):
            return False
    return True


@pytest.fixture
def sizes(monkeypatch):
    """How many points each pass of the engine held."""
    seen, evaluate = [], Engine._evaluate

    def keep(self, asked):
        seen.append(len(asked))
        return evaluate(self, asked)

    monkeypatch.setattr(Engine, "_evaluate", keep)
    return seen


@pytest.mark.tl3
def test_small_packs_equal_a_large_one_and_repeat_to_the_bit(tiny, sizes):
    whole = wb.optimize_batch(tiny, JOBS, progress=False)
    assert max(sizes) > 4
    sizes.clear()
    small = [wb.optimize_batch(tiny, JOBS, progress=False, token_budget=30) for _ in range(2)]
    assert max(sizes) < 4
    assert close(small[0], whole)
    for one, other in zip(*small, strict=True):
        assert one.losses == other.losses
        for a, b in zip(one.vectors, other.vectors, strict=True):
            assert torch.equal(a.values, b.values)
    assert small[0][0].vector.provenance.results["token_budget"] == 30


def test_jobs_of_all_layers_share_a_pass_and_differ_from_nobody_alone(any_model, sizes):
    """Rows join at their own layer; one job reads a stream that another has not joined yet."""
    change = wb.LargestChange(target_layer=2)
    jobs = [
        wb.OneShotJob([PROMOTED], 3, steps=3, seed=1),
        wb.OneShotJob([MIXED], 1, steps=3, seed=2, change=change, max_norm=2.0),
        wb.OneShotJob([PROMOTED], 2, steps=3, optimizer="lbfgs", seed=3),
        wb.OneShotJob([MIXED], (1, 3), steps=3, seed=4),
    ]
    together = wb.optimize_batch(any_model, jobs, progress=False)
    assert max(sizes) >= len(jobs)
    alone = [wb.optimize_batch(any_model, [job], progress=False)[0] for job in jobs]
    assert close(together, alone)
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one.vectors, other.vectors, strict=True):
            torch.testing.assert_close(a.values, b.values, rtol=2e-2, atol=2e-3)


@pytest.mark.tl3
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("on purpose"), RuntimeError("DefaultCPUAllocator: not enough memory")],
    ids=["accelerator", "cpu"],
)
def test_where_memory_runs_out_fewer_go_together(tiny, monkeypatch, error):
    expected = wb.optimize_batch(tiny, JOBS, progress=False)
    evaluate, refused = Engine._evaluate, []

    def small_only(self, asked):
        if len(asked) > 2:
            refused.append(len(asked))
            raise error
        return evaluate(self, asked)

    monkeypatch.setattr(Engine, "_evaluate", small_only)
    assert close(wb.optimize_batch(tiny, JOBS, progress=False), expected)
    assert 0 < len(refused) < 8  # what did not fit once is not tried again


@pytest.mark.tl3
@pytest.mark.parametrize("message", ["not enough memory", "a shape is wrong"])
def test_one_point_that_does_not_fit_and_other_errors_are_told(tiny, monkeypatch, message):
    calls = []

    def fail(self, asked):
        calls.append(len(asked))
        raise RuntimeError(message)

    monkeypatch.setattr(Engine, "_evaluate", fail)
    with pytest.raises(RuntimeError, match=message):
        wb.optimize_batch(tiny, JOBS, progress=False)
    assert calls[-1] == 1 or message != "not enough memory"
    assert len(calls) == 1 or message == "not enough memory"


@pytest.mark.tl3
def test_finished_rows_leave(tiny, sizes):
    jobs = [wb.OneShotJob([PROMOTED], 2, steps=steps) for steps in (0, 2, 4)]
    wb.optimize_batch(tiny, jobs, progress=False)
    assert sizes == [3, 2, 2, 1, 1]


@pytest.mark.tl3
def test_ctrl_c_returns_what_is_finished_and_the_best_of_what_is_not(tiny):
    jobs = [wb.OneShotJob([PROMOTED], layer, steps=4, label=str(layer)) for layer in (1, 2, 3)]

    def interrupt(descent):
        if descent.job.layer == 2 and len(descent.history) == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        runs = wb.optimize_batch(tiny, jobs, progress=False, callback=interrupt, token_budget=1)
    assert [run.label for run in runs] == ["1", "2"]
    assert [run.stopped for run in runs] == ["steps", "interrupted"]
    assert runs[1].loss == min([*runs[1].losses, runs[1].last_loss])
    assert len(runs[1].losses) == 2
    with pytest.raises(KeyboardInterrupt):
        wb.optimize_batch(tiny, jobs, progress=False, callback=_at_once, token_budget=1)


def _at_once(descent):
    descent.history.clear()
    raise KeyboardInterrupt


def evaluated(model, jobs, share):
    """One point of each job, on shared rows or on separate ones."""
    engine = Engine(model, tuple(jobs), *lay_out(model, jobs, share=share), 10_000)
    generator = torch.Generator().manual_seed(0)
    asked = [
        (
            i,
            Request(
                torch.randn(job.shape.count, 32, generator=generator),
                Objective(job, n_layers(model)),
            ),
        )
        for i, job in enumerate(jobs)
    ]
    return engine, engine.answer(asked)


def test_shared_prompts_equal_separate_rows(any_model):
    jobs = [*JOBS[:3], wb.OneShotJob([MIXED], 1, positions=wb.Positions.completion())]
    jobs = [job for job in jobs if job.layers[0] == 1]
    shared, ours = evaluated(any_model, jobs, share=True)
    alone, theirs = evaluated(any_model, jobs, share=False)
    assert shared.recording.shared
    assert not alone.recording.shared
    assert [len(texts.shared) for texts in shared.texts] == [1, 1, 2, 1]
    assert [len(texts.shared) for texts in alone.texts] == [1, 3, 4, 3]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.losses, other.losses, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(one.gradient, other.gradient, rtol=1e-3, atol=1e-4)


def test_positions_that_differ_on_the_prompt_are_not_shared_but_right(any_model):
    """Counted from the end, a longer completion leaves less of the prompt."""
    jobs = [wb.OneShotJob([MIXED], 1, positions=SPAN), wb.OneShotJob([MIXED], 1)]
    engine, (answer, _) = evaluated(any_model, jobs, share=True)
    assert [len(texts.shared) for texts in engine.texts] == [3, 1]
    parts = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    steering = wb.Add(wb.SteeringVector(parts[0], 1), positions=SPAN)
    scored = wb.log_prob(any_model, MIXED.prompt, list(MIXED.completions), steering, coldness=0.7)
    expected = (-scored.total).tolist()
    expected[2] = -float((-scored.token_log_probs[2].double().exp()).log1p().sum())
    assert answer.losses.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.tl3
def test_a_start_does_not_depend_on_the_jobs_beside_it(tiny):
    job = wb.OneShotJob([PROMOTED], 2, steps=0, start="steepest")
    other = wb.OneShotJob([wb.Example("w50 w51 w52 w53 w54 w55", promote=[" w60"])], 1, steps=0)
    (alone,) = wb.optimize_batch(tiny, [job], progress=False)
    beside = wb.optimize_batch(tiny, [other, job], progress=False)[1]
    assert beside.vector.norm == pytest.approx(alone.vector.norm, rel=1e-4)
    assert math.isclose(beside.loss, alone.loss, rel_tol=1e-3)
