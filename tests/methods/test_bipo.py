"""BiPO equals its formula, written out plainly and followed by plain AdamW."""

import math

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

import workbench as wb
from workbench.methods.bipo import PRESETS, BipoSettings, Preference, bipo
from workbench.models.hooked import logits
from workbench.models.text import completion_ids

LAYER = 2
PAIRS = [
    Preference("w1 w2 w3 ", "w4 w5", "w6"),
    Preference("w7 w8 ", "w9", "w10 w11 w12"),
    Preference("w2 w9 w4 w1 ", "w3 w3", "w5 w8"),
]
QUICK = BipoSettings(learning_rate=0.05, batch_size=2, epochs=4, warmup=2, weight_decay=0.1)


def said(model, prompt, completion, vector):
    """The completion's log-prob under a vector, one text at a time and without a cache."""
    head, tail = completion_ids(model, prompt, completion)
    tokens = torch.tensor([[*head, *tail]])
    with wb.steer(model, [(f"blocks.{LAYER}.hook_resid_pre", lambda x, hook: x + vector)]):
        read = logits(model, tokens)[0].float().log_softmax(-1)
    return read[torch.arange(len(head) - 1, len(head) + len(tail) - 1), torch.tensor(tail)].sum()


def plainly(model, settings):
    """The paper's loop, drawing pairs and directions as `bipo` says it does."""
    generator = torch.Generator().manual_seed(settings.seed)
    vector = torch.zeros(model.cfg.d_model, requires_grad=True)
    adam = torch.optim.AdamW([vector], lr=settings.learning_rate, weight_decay=0.1)
    total = settings.epochs * math.ceil(len(PAIRS) / settings.batch_size)
    schedule = get_cosine_schedule_with_warmup(adam, settings.warmup, total)
    none = torch.zeros_like(vector)
    objectives = []
    for _ in range(settings.epochs):
        order = torch.randperm(len(PAIRS), generator=generator).tolist()
        turned = torch.randint(2, (len(PAIRS),), generator=generator).tolist()
        drawn = list(zip(order, turned, strict=True))
        for start in range(0, len(drawn), settings.batch_size):
            terms = []
            for pair, turn in drawn[start : start + settings.batch_size]:
                d, each = 1 - 2 * turn, PAIRS[pair]
                gain = [
                    said(model, each.prompt, text, d * vector)
                    - said(model, each.prompt, text, none).detach()
                    for text in (each.preferred, each.rejected)
                ]
                terms.append(-(d * settings.beta * (gain[0] - gain[1])).sigmoid().log())
            objective = torch.stack(terms).mean()
            adam.zero_grad()
            objective.backward()
            adam.step()
            schedule.step()
            objectives.append(float(objective))
    return vector.detach(), objectives


def test_it_follows_the_formula(any_model):
    expected, objectives = plainly(any_model, QUICK)
    found = bipo(any_model, PAIRS, LAYER, QUICK, progress=False)
    assert found.provenance.results["objectives"] == pytest.approx(objectives, abs=1e-4)
    assert torch.nn.functional.cosine_similarity(found.values, expected, dim=0) > 0.999
    assert found.norm == pytest.approx(float(expected.norm()), rel=1e-2)


def test_both_directions_prefer_as_they_should(tiny):
    settings = BipoSettings(beta=1.0, learning_rate=0.1, batch_size=3, epochs=40, warmup=4)
    found = bipo(tiny, PAIRS, LAYER, settings, progress=False)

    def margin(scale):
        steering = wb.Add(found, scale=scale)
        return sum(
            float(wb.log_prob(tiny, each.prompt, each.preferred, steering).total)
            - float(wb.log_prob(tiny, each.prompt, each.rejected, steering).total)
            for each in PAIRS
        )

    assert margin(1) > margin(0) + 1 > margin(-1) + 2


def test_the_first_objective_is_that_of_no_preference(tiny):
    found = bipo(tiny, PAIRS, LAYER, QUICK, progress=False)
    assert found.provenance.results["objectives"][0] == pytest.approx(math.log(2), abs=1e-5)
    assert found.provenance.method == "bipo"
    assert [each["preferred"] for each in found.provenance.examples] == ["w4 w5", "w9", "w3 w3"]


def test_seeds_decide(tiny):
    first, again, other = (
        bipo(tiny, PAIRS, LAYER, BipoSettings(epochs=2, warmup=0, seed=seed), progress=False)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, other.values)


def test_the_papers_settings():
    assert {name: each.epochs for name, each in PRESETS.items()} == {
        "persona": 20,
        "hallucination": 20,
        "truthfulness": 1,
        "jailbreak": 10,
    }
    assert all((each.beta, each.learning_rate) == (0.1, 5e-4) for each in PRESETS.values())


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match="two different answers"):
        Preference("w1 ", "w2", "w2")
    with pytest.raises(ValueError, match="no preferences"):
        bipo(tiny, [], LAYER)
    with pytest.raises(ValueError, match="more than once"):
        bipo(tiny, [PAIRS[0], PAIRS[0]], LAYER, QUICK)
    with pytest.raises(ValueError, match="would not end in 20 steps"):
        bipo(tiny, PAIRS, LAYER)
    with pytest.raises(ValueError, match="beta"):
        BipoSettings(beta=0)
