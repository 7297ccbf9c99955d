"""A later vector writes what an earlier intervention made the model say."""

import pytest
import torch

import workbench as wb
from workbench.figures import draw_losses
from workbench.methods.one_shot.reentrant import imitate
from workbench.models.hooked import logits
from workbench.models.text import prompt_ids

pytestmark = pytest.mark.tl3

EXAMPLES = [
    wb.Example("w1 w2 w3", promote=[" w10 w11"]),
    wb.Example("w4 w5", suppress=[" w12"]),
]


def distributions(model, prompt, tokens, steering, coldness):
    """log p of each of the tokens after a prompt, by one whole pass."""
    head = prompt_ids(model, prompt)
    whole = torch.tensor([[*head, *tokens]])
    with torch.no_grad(), wb.steer(model, steering, prompt_lengths=[len(head)]):
        read = logits(model, whole)[0, len(head) - 1 : -1]
    return (coldness * read.double()).log_softmax(-1)


def plain_kl(model, run, late, coldness):
    """Σ KL(p of the first stage ‖ p of the late vector) over the tokens of all prompts."""
    total = 0.0
    for example in run.second.job.examples:
        tokens = example.imitate[0].tokens.tolist()
        first = distributions(model, example.prompt, tokens, run.first.interventions, coldness)
        second = distributions(model, example.prompt, tokens, late, coldness)
        total += float((first.exp() * (first - second)).sum())
    return total


@pytest.mark.parametrize(
    ("early", "coldness"),
    [({}, 0.7), ({"intervention": "matrix", "max_row_norm": 1.0}, 1.0)],
    ids=["a vector", "a matrix"],
)
def test_the_second_stage_minimizes_the_divergence_from_the_first(tiny, early, coldness):
    run = wb.reentrant(
        tiny,
        EXAMPLES,
        2,
        early={"steps": 4, "learning_rate": 0.3, **early},
        tokens=3,
        coldness=coldness,
        steps=8,
        history=True,
        keep="last",
        progress=False,
    )
    assert run.first.job.layers == (1,)
    assert run.vector.layers == (2,)
    assert run.first.job.coldness == run.second.job.coldness == coldness
    for vector, reported in (
        (run.second.history[0], run.second.losses[0]),
        (run.vector, run.second.loss),
    ):
        assert reported == pytest.approx(plain_kl(tiny, run, wb.Add(vector), coldness), rel=1e-3)
    assert run.second.loss < 0.9 * run.second.losses[0]
    # The tokens are what the first intervention makes the model say.
    made = wb.generate(
        tiny,
        [example.prompt for example in EXAMPLES],
        list(run.first.interventions),
        max_new_tokens=3,
        progress=False,
    )
    assert list(run.texts) == made
    assert "imitate" in run.vector.provenance.examples[0]


def test_its_losses_are_drawn_as_those_of_its_second_stage(tiny):
    run = wb.reentrant(
        tiny, EXAMPLES, 2, early={"steps": 2}, tokens=2, steps=3, label="late", progress=False
    )
    assert (run.losses, run.loss, run.step) == (run.second.losses, run.second.loss, run.second.step)
    for given in (run, [run, run.first]):
        line, star = draw_losses(given).data[:2]
        assert list(line.y) == pytest.approx([*run.second.losses, run.second.last_loss])
        assert (star.x[0], star.y[0]) == (run.second.step, pytest.approx(run.second.loss))
    assert "late" in draw_losses(run).layout.title.text


def test_what_is_imitated_is_the_distribution_at_one_coldness(tiny):
    v = wb.SteeringVector(torch.linspace(-1, 1, 32), 1)
    prompts = ["w1 w2 w3", "w4 w5 w6 w7"]
    made = imitate(tiny, prompts, wb.Add(v), tokens=4, coldness=0.5)
    for prompt, each in zip(prompts, made, strict=True):
        expected = distributions(tiny, prompt, each.tokens.tolist(), wb.Add(v), 0.5)
        torch.testing.assert_close(each.log_probs.double(), expected, rtol=1e-4, atol=1e-4)
        assert each.tokens.tolist() == each.log_probs.argmax(-1).tolist()


def test_imitating_oneself_costs_nothing(tiny):
    v = wb.SteeringVector(torch.linspace(-1, 1, 32), 1)
    (each,) = imitate(tiny, ["w1 w2 w3"], wb.Add(v), tokens=4)
    example = wb.Example("w1 w2 w3", imitate=[each])
    run = wb.optimize(tiny, [example], 1, steps=0, start=v, progress=False)
    assert run.loss == pytest.approx(0.0, abs=1e-5)


def test_bad_requests_say_what_was_wrong(tiny):
    with pytest.raises(ValueError, match="not behind early_layer 2"):
        wb.reentrant(tiny, EXAMPLES, 2, early_layer=2, progress=False)
    with pytest.raises(ValueError, match="one coldness"):
        wb.reentrant(tiny, EXAMPLES, 2, early={"coldness": 1.0}, progress=False)
    with pytest.raises(ValueError, match="not logits"):
        wb.Imitation(torch.tensor([3]), torch.zeros(1, 97))
    with pytest.raises(ValueError, match="at least one token"):
        wb.Imitation(torch.tensor([], dtype=torch.long), torch.zeros(0, 97))
