"""Gated steering: rows where the condition holds are steered, the others are as they were."""

import pytest
import torch

import workbench as wb
from workbench.models.hooked import logits
from workbench.models.text import pad, prompt_ids
from workbench.steering import Ablate, Add, Condition, Positions, SteeringVector, When
from workbench.steering.activations import activations
from workbench.steering.prepared import Prepared

PROMPTS = ["w1 w2 ", "w3 ", "w4 w5 w6 ", "w7 w8 w9 w10 "]
LAYER = 1


@pytest.fixture
def vectors(any_model):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, any_model.cfg.d_model, generator=generator)
    return [SteeringVector(v, layer, label="v") for v, layer in zip(drawn, (LAYER, 2), strict=True)]


def condition_of(model, vector, **options):
    """A threshold between the prompts' projections, and on which of them the condition holds."""
    read = activations(model, PROMPTS, layers=[LAYER])[:, 0]
    unit = vector.values / vector.norm
    values = read @ unit
    if options.get("measure") == "cosine":
        values = values / read.norm(dim=-1)
    middle = float(values.sort().values[1:3].mean())
    holds = values > middle if options.get("above", True) else values < middle
    return Condition(vector, middle, **options), holds.tolist()


@pytest.mark.parametrize("measure", ["projection", "cosine"])
@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_are_steered_where_it_holds(any_model, vectors, measure, above, side):
    gate, holds = condition_of(any_model, vectors[0], measure=measure, above=above)
    assert sorted(holds) == [False, False, True, True]
    batch = pad(any_model, [prompt_ids(any_model, prompt) for prompt in PROMPTS], side=side)

    def read(steering):
        with wb.steer(any_model, steering):
            return logits(any_model, batch.tokens, batch.attention_mask)

    gated, steered, plain = (
        read(steering) for steering in (When(gate, Add(vectors[1])), Add(vectors[1]), [])
    )
    real = batch.attention_mask.bool()
    for row, opened in enumerate(holds):
        expected = (steered if opened else plain)[row][real[row]]
        torch.testing.assert_close(gated[row][real[row]], expected)


def test_answers_are_those_of_the_ungated_or_the_unsteered(any_model, vectors):
    gate, holds = condition_of(any_model, vectors[0])
    strong = Add(vectors[1], 6.0)

    def answers(steering):
        return wb.generate(any_model, PROMPTS, steering, max_new_tokens=8, progress=False)

    steered, plain = answers(strong), answers([])
    expected = [s if opened else p for s, p, opened in zip(steered, plain, holds, strict=True)]
    assert answers(When(gate, strong)) == expected
    assert steered != plain
    small = wb.generate(
        any_model, PROMPTS, When(gate, strong), max_new_tokens=8, batch_size=1, progress=False
    )
    assert small == expected


def test_several_interventions_and_rows_of_their_own_are_gated(tiny):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, tiny.cfg.d_model, generator=generator)
    direction = SteeringVector(values[0], LAYER, label="gate")
    gate, holds = condition_of(tiny, direction)
    by_row = Add([SteeringVector(values[1 + i % 2], 2) for i in range(4)], [4.0, 5.0, 6.0, 7.0])
    both = When(gate, [by_row, Ablate(direction, layers=[3])])
    assert both.row_count == 4
    found = wb.generate(tiny, PROMPTS, both, max_new_tokens=6, progress=False)
    for i, prompt in enumerate(PROMPTS):
        steering = [by_row.taking([i]), Ablate(direction, layers=[3])] if holds[i] else []
        (alone,) = wb.generate(tiny, [prompt], steering, max_new_tokens=6, progress=False)
        assert found[i] == alone


def test_a_gate_within_a_gate_needs_both(tiny):
    vector = SteeringVector(torch.ones(tiny.cfg.d_model), LAYER, label="v")
    gate, holds = condition_of(tiny, vector)
    never = Condition(vector, 1e9)
    always = Condition(vector, -1e9)
    strong = Add(vector, 9.0)

    def answers(steering):
        return wb.generate(tiny, PROMPTS, steering, max_new_tokens=5, progress=False)

    assert answers(When(never, When(gate, strong))) == answers([])
    assert answers(When(always, When(gate, strong))) == answers(When(gate, strong))
    later = Condition(SteeringVector(vector.values, 2), -1e9)
    far = Add(SteeringVector(vector.values, 3), 9.0)
    assert answers(When(later, When(gate, far))) == answers(When(gate, far))
    assert sum(holds) == 2


def test_a_completion_does_not_change_what_its_prompt_decided(tiny):
    vector = SteeringVector(torch.ones(tiny.cfg.d_model), LAYER, label="v")
    gate, holds = condition_of(tiny, vector)
    texts = ["w20 w21 w22"] * len(PROMPTS)
    strong = Add(SteeringVector(vector.values, 2), 5.0)
    found, steered, plain = (
        wb.log_prob(tiny, PROMPTS, texts, steering).total
        for steering in (When(gate, strong), strong, [])
    )
    expected = torch.where(torch.tensor(holds), steered, plain)
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_decided_is_refused(tiny):
    vector = SteeringVector(torch.ones(tiny.cfg.d_model), LAYER, label="v")
    gate = Condition(vector, 0.0)
    early = Add(SteeringVector(vector.values, 0))
    tokens = torch.tensor([[1, 2, 3]])
    before = logits(tiny, tokens)
    with pytest.raises(ValueError, match=r"read at layer 1, and blocks\.0\.hook_resid_pre"):
        wb.generate(tiny, PROMPTS, When(gate, early), progress=False)
    with pytest.raises(ValueError, match=r"read at layer 1, and blocks\.0"):
        wb.generate(tiny, PROMPTS, When(gate, Ablate(vector)), progress=False)
    with pytest.raises(ValueError, match="without an intervention"):
        wb.generate(tiny, PROMPTS, When(gate, []), progress=False)
    nowhere = Condition(vector, 0.0, positions=Positions.at_tokens([89]))
    rows = torch.tensor([[1, 2, 89], [1, 2, 3]])
    with (
        pytest.raises(ValueError, match="choose no token of the prompt in row 1"),
        wb.steer(tiny, When(nowhere, Add(vector))),
    ):
        logits(tiny, rows)
    with wb.steer(tiny, When(nowhere, Add(vector))):
        logits(tiny, rows[:1])  # decided, and then a text of which nothing can be
        with pytest.raises(ValueError, match="choose no token of the prompt in row 0"):
            logits(tiny, rows[1:])
    whole = When(gate, Add(vector, positions=Positions.span(-2)))
    with pytest.raises(ValueError, match=r"last\(k\)"):
        wb.generate(tiny, PROMPTS, whole, progress=False)
    with pytest.raises(ValueError, match="not zero"):
        Condition(vector * 0.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        Condition(vector, float("nan"))
    assert torch.equal(logits(tiny, tokens), before), "nothing was left on the model"


def test_prepared_texts_refuse_gates(tiny):
    vector = SteeringVector(torch.ones(tiny.cfg.d_model), LAYER, label="v")
    prepared = Prepared.of(tiny, ["w1 ", "w1 "], ["w2", "w3"], layer=LAYER)
    with pytest.raises(ValueError, match="decided row by row"):
        prepared.score(When(Condition(vector, 0.0), Add(vector)))
