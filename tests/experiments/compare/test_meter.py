"""What methods are measured by: margins are those of `log_prob`, prepared or not."""

import pytest
import torch

import workbench as wb
from workbench.evaluation import cost
from workbench.experiments.compare.meter import Meter, margins

SIZES = {"chosen_on": 4, "measured_on": 5, "harmless": 3, "answer_tokens": 4, "questions": 4}


def test_prepared_margins_equal_plain_ones(task):
    meter = Meter.of(task, **SIZES)
    vector = wb.SteeringVector(torch.linspace(-2, 2, task.model.cfg.d_model), 2)
    gate = wb.When(wb.Condition(vector, 0.0), wb.Add(vector))
    for steering in (wb.Add(vector), wb.Add(vector, -2.0), wb.Ablate(vector), gate):
        for items in (meter.items, meter.chosen_on):
            found = meter.behaviour(task.model, items, steering)
            assert found.margins == pytest.approx(margins(task.model, items, steering), abs=1e-4)
            shown = wb.log_prob(
                task.model, [i.prompt for i in items], [i.shows for i in items], steering
            ).mean
            assert found.shown == pytest.approx(shown.tolist(), abs=1e-4)
    assert len(meter._prepared) == 2  # one for each set of items; ablation and the gate have none


def test_prepared_costs_equal_plain_ones_and_a_model_is_let_go_of(task):
    meter = Meter.of(task, **SIZES)
    vector = wb.SteeringVector(torch.linspace(-2, 2, task.model.cfg.d_model), 2)
    gate = wb.When(wb.Condition(vector, 0.0), wb.Add(vector))
    for steering in (wb.Add(vector), wb.Add(vector, -2.0), wb.Ablate(vector), gate):
        plain = cost(task.model, meter.spent, steering).mean_kl
        assert meter.tried(task.model, steering)["kl"] == pytest.approx(plain, abs=1e-6)
    assert len(meter._spent) == 1
    meter.forget(task.model)
    assert not meter._spent
    assert not meter._prepared
