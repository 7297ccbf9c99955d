"""Refusal outcomes are what `attack` and `cost` say, on one set of requests."""

import pytest
import torch

from workbench.analysis.refusal_outcomes import RefusalOutcomes
from workbench.evaluation import Reference, attack, cost, own_surprisal
from workbench.steering import Add, SteeringVector, generate

HARMFUL, HARMLESS = ["w1", "w2 w3"], ["w4", "w5 w6"]


def ask(request: str) -> str:
    return f"{request} "


def test_it_measures_as_the_measures_do(tiny):
    outcomes = RefusalOutcomes.of(tiny, tiny, HARMFUL, HARMLESS, ask)
    vector = SteeringVector(torch.ones(tiny.cfg.d_model), 1)
    prompts, harmless = ([ask(each) for each in some] for some in (HARMFUL, HARMLESS))
    expected = attack(
        tiny, tiny, prompts, HARMFUL, Add(vector), threshold=own_surprisal(tiny, prompts)
    )
    assert outcomes.attack(Add(vector)) == expected
    own = generate(tiny, harmless, max_new_tokens=32, progress=False)
    paid = outcomes.cost(Add(vector))
    plain = cost(tiny, Reference.of(tiny, harmless, own), Add(vector))
    assert paid.kl == pytest.approx(plain.mean_kl)
    assert paid.cross_entropy_change == pytest.approx(plain.cross_entropy_change)
    assert outcomes.cost().kl == pytest.approx(0.0, abs=1e-6)
    above = outcomes.harmless.at(1)
    assert above.cost(Add(vector)).kl == pytest.approx(paid.kl)
    assert above.cost().kl == pytest.approx(0.0, abs=1e-6)


def test_the_judge_sees_requests_and_answers(tiny):
    seen = []

    def judge(requests, answers):
        seen.append((list(requests), len(answers)))
        return [True] * len(requests)

    outcomes = RefusalOutcomes.of(tiny, tiny, HARMFUL, HARMLESS, ask, judge=judge)
    assert outcomes.attack().raw.rate == 0.0
    assert outcomes.cost().refused.rate == 1.0
    assert seen == [(HARMFUL, 2), (HARMLESS, 2)]


def test_no_requests_are_refused(tiny):
    with pytest.raises(ValueError, match="none may be 0"):
        RefusalOutcomes.of(tiny, tiny, HARMFUL, [], ask)
