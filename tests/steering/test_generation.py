"""Generation: cached equals uncached, batched equals alone, and it stops where it should."""

import pytest
import torch

import workbench as wb
from tests.conftest import all_modules, all_parameters, tiny_hf
from workbench.models import hooked
from workbench.models.identity import LoadFacts, facts_of, remember
from workbench.models.text import pad, prompt_ids
from workbench.steering.sampling import Sampler

pytestmark = pytest.mark.tl3

PROMPTS = ["w1 w2 w3 w4 w5 w6 w7", "w8 w9", "w10 w11 w12"]
V = wb.SteeringVector(torch.linspace(-2, 2, 32), 1)
STEERINGS = {
    "none": (),
    "all": wb.Add(V),
    "prompt": wb.Add(V, positions=wb.Positions.prompt()),
    "completion": wb.Add(V, positions=wb.Positions.completion()),
    "last": wb.Clamp(V, value=2.0, positions=wb.Positions.last(2)),
    "ablate": wb.Ablate(V),
}


def never_stops(model):
    facts = facts_of(model)
    remember(model, LoadFacts(facts.name, facts.revision, facts.adds_bos, ()))
    return model


def slow_greedy(model, prompt, steering, steps):
    """Greedy decoding by whole passes over prompt and completion, no cache and no padding."""
    ids = prompt_ids(model, prompt)
    start = len(ids)
    for _ in range(steps):
        with torch.no_grad(), wb.steer(model, steering, prompt_lengths=[start]):
            ids.append(int(hooked.logits(model, torch.tensor([ids]))[0, -1].argmax()))
    return ids[start:]


@pytest.mark.parametrize("name", STEERINGS)
def test_batched_cached_generation_equals_one_prompt_at_a_time_without_cache(any_model, name):
    model = never_stops(any_model)
    made = wb.generate(
        model, PROMPTS, STEERINGS[name], max_new_tokens=6, progress=False, details=True
    )
    for prompt, generation in zip(PROMPTS, made, strict=True):
        assert generation.tokens.tolist() == slow_greedy(model, prompt, STEERINGS[name], 6)
        assert not generation.stopped


@pytest.mark.parametrize("name", STEERINGS)
def test_transformer_lenss_own_generate_is_steered_alike(tiny, name):
    made = wb.generate(
        never_stops(tiny), PROMPTS, STEERINGS[name], max_new_tokens=6, progress=False, details=True
    )
    with wb.steer(tiny, STEERINGS[name]):
        theirs = tiny.generate(
            PROMPTS,
            max_new_tokens=6,
            do_sample=False,
            stop_at_eos=False,
            return_type="tokens",
            verbose=False,
        )
    assert theirs[:, -6:].tolist() == [generation.tokens.tolist() for generation in made]


def test_batch_size_does_not_change_what_is_sampled(tiny):
    settings = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 0.9, "seed": 3, "n": 2}
    together, alone = (
        wb.generate(tiny, PROMPTS, wb.Add(V), batch_size=size, progress=False, **settings)
        for size in (6, 1)
    )
    assert together == alone
    assert len(together) == 3
    assert all(len(texts) == 2 for texts in together)
    other = wb.generate(tiny, PROMPTS, wb.Add(V), progress=False, **{**settings, "seed": 4})
    assert other != together


def test_rows_stop_at_the_end_of_turn_and_texts_have_no_special_tokens(tiny):
    greedy = wb.generate(never_stops(tiny), PROMPTS, max_new_tokens=6, progress=False, details=True)
    stop = int(greedy[0].tokens[2])
    remember(tiny, LoadFacts("tiny", adds_bos=True, stop_ids=(stop,)))
    stopped = wb.generate(tiny, PROMPTS, max_new_tokens=6, progress=False, details=True)
    for before, after in zip(greedy, stopped, strict=True):
        tokens = before.tokens.tolist()
        cut = tokens.index(stop) + 1 if stop in tokens else len(tokens)
        assert after.tokens.tolist() == tokens[:cut]
        assert after.stopped == (stop in tokens)
    assert "<s>" not in " ".join(g.text for g in greedy)


def test_the_end_of_turn_waits_for_min_new_tokens_as_in_transformers(any_model):
    hf = tiny_hf(any_model.kind)  # the same seed: the same weights, never wrapped
    free = wb.generate(
        never_stops(any_model), PROMPTS, max_new_tokens=8, progress=False, details=True
    )
    stop = int(free[0].tokens[1])
    facts = facts_of(any_model)
    remember(any_model, LoadFacts(facts.name, adds_bos=facts.adds_bos, stop_ids=(stop,)))
    batch = pad(any_model, [prompt_ids(any_model, prompt) for prompt in PROMPTS], side="left")
    for least in (0, 4, 8):
        made = wb.generate(
            any_model,
            PROMPTS,
            max_new_tokens=8,
            min_new_tokens=least,
            progress=False,
            details=True,
        )
        expected = hf.generate(
            batch.tokens,
            attention_mask=batch.attention_mask,
            do_sample=False,
            max_new_tokens=8,
            min_new_tokens=least,
            eos_token_id=stop,
            pad_token_id=0,
        )[:, batch.tokens.shape[1] :]
        for one, theirs in zip(made, expected.tolist(), strict=True):
            count = len(one.tokens)
            assert one.tokens.tolist() == theirs[:count]
            assert count == 8 or one.stopped
            assert stop not in one.tokens[:least]
            assert count >= max(least, 1)


def test_log_probs_are_those_of_the_steered_model(tiny):
    (made,) = wb.generate(
        never_stops(tiny), ["w1 w2 w3"], wb.Add(V), max_new_tokens=4, progress=False, details=True
    )
    ids = prompt_ids(tiny, "w1 w2 w3") + made.tokens.tolist()
    with torch.no_grad(), wb.steer(tiny, wb.Add(V)):
        read = hooked.logits(tiny, torch.tensor([ids]))[0].log_softmax(-1)
    expected = torch.stack([read[len(ids) - 5 + k, ids[len(ids) - 4 + k]] for k in range(4)])
    torch.testing.assert_close(made.log_probs, expected, rtol=0, atol=1e-5)


def test_a_vector_for_each_prompt(tiny):
    model = never_stops(tiny)
    w = wb.SteeringVector(V.values.flip(0) * 2, 2)
    together = wb.generate(model, PROMPTS, wb.Add([V, w, None]), max_new_tokens=5, progress=False)
    for prompt, steering, text in zip(PROMPTS, [wb.Add(V), wb.Add(w), ()], together, strict=True):
        assert wb.generate(model, [prompt], steering, max_new_tokens=5, progress=False) == [text]


def test_streaming_gives_the_greedy_answer_with_both_log_probs_and_can_be_cancelled(tiny):
    model = never_stops(tiny)
    (whole,) = wb.generate(
        model, ["w1 w2"], wb.Add(V), max_new_tokens=5, progress=False, details=True
    )
    hooks = len(tiny.hook_dict["blocks.1.hook_resid_pre"]._forward_hooks)
    tokens = wb.stream(model, "w1 w2", wb.Add(V), max_new_tokens=5)
    first = next(tokens)
    assert len(tiny.hook_dict["blocks.1.hook_resid_pre"]._forward_hooks) == hooks
    rest = list(tokens)
    streamed = [first, *rest]
    assert [t.token for t in streamed] == whole.tokens.tolist()
    assert "".join(t.text for t in streamed) == whole.text
    torch.testing.assert_close(
        torch.tensor([t.log_prob for t in streamed]), whole.log_probs, rtol=0, atol=1e-4
    )
    ids = prompt_ids(model, "w1 w2") + whole.tokens.tolist()
    with torch.no_grad():
        unsteered = hooked.logits(model, torch.tensor([ids]))[0].log_softmax(-1)
    for k, token in enumerate(streamed):
        expected = float(unsteered[len(ids) - 6 + k, token.token])
        assert token.unsteered_log_prob == pytest.approx(expected, abs=1e-4)
    cancelled = wb.stream(model, "w1 w2", wb.Add(V), max_new_tokens=5)
    next(cancelled)
    cancelled.close()
    assert len(tiny.hook_dict["blocks.1.hook_resid_pre"]._forward_hooks) == hooks


def test_nucleus_sampling_keeps_to_the_nucleus_and_to_the_probabilities():
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    rows = 4000
    sampler = Sampler.of(1.0, 0.75, list(range(rows)), 1)
    chosen = sampler(probs.log().expand(rows, -1), 0)
    shares = chosen.bincount(minlength=4) / rows
    assert shares[2:].sum() == 0
    assert abs(float(shares[0]) - 0.625) < 0.03


def test_bad_requests_say_what_was_wrong(tiny):
    cases = [
        ({"prompts": []}, "no prompt"),
        ({"prompts": [""], "max_new_tokens": 0}, "at least 1"),
        ({"prompts": ["w1"], "max_new_tokens": 4, "min_new_tokens": 5}, "got 5 of 4"),
        ({"prompts": ["w1"], "temperature": -1.0}, "temperature"),
        ({"prompts": ["w1"], "temperature": 1.0, "top_p": 0.0}, "top_p"),
        ({"prompts": ["w1 " * 200]}, "holds 128: shorten it"),
        ({"prompts": ["w1", "w2"], "steering": wb.Add([V] * 3)}, "3 rows, but there are 2"),
    ]
    for request, message in cases:
        with pytest.raises(ValueError, match=message):
            wb.generate(tiny, progress=False, **request)


def test_the_model_is_left_in_its_mode(tiny):
    tiny.train()
    training = [module.training for module in all_modules(tiny)]
    wb.generate(tiny, PROMPTS, wb.Add(V), max_new_tokens=2, progress=False)
    assert training == [module.training for module in all_modules(tiny)]
    assert all(p.requires_grad for p in all_parameters(tiny))
