"""A sweep over layers and seeds is its runs, made together."""

import pytest

import workbench as wb

pytestmark = pytest.mark.tl3

EXAMPLE = wb.Example("w1 w2 w3", promote=[" w10 w11"], suppress=[" w14"])


def test_each_layer_and_seed_equals_a_run_by_itself(tiny):
    sweep = wb.sweep_layers(tiny, EXAMPLE, (0, 2), seeds=(0, 1), steps=3, progress=False)
    assert [(run.job.layer, run.job.seed) for run in sweep.runs] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    for run in sweep.runs:
        alone = wb.optimize(
            tiny, [EXAMPLE], run.job.layer, seed=run.job.seed, steps=3, progress=False
        )
        assert run.losses == pytest.approx(alone.losses, rel=1e-3)
        assert run.loss == pytest.approx(alone.loss, rel=1e-3)
        assert run.vector.layers == (run.job.layer,)
    frame = sweep.to_frame()
    assert list(frame.layer) == [0, 0, 2, 2]
    assert list(frame.seed) == [0, 1, 0, 1]
    assert list(frame.loss) == [run.loss for run in sweep.runs]
    assert sweep.at(2) == list(sweep.runs[2:])


def test_all_layers_are_the_default(tiny):
    sweep = wb.sweep_layers(tiny, [EXAMPLE], steps=0, intervention="matrix", progress=False)
    assert [run.job.layer for run in sweep.runs] == [0, 1, 2, 3]
    assert sweep.to_frame().norm.isna().all()
