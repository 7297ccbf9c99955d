"""Beam search equals trying everything, and a plain search without cache or batch."""

import pytest
import torch

import workbench as wb
from tests.conftest import all_modules, all_parameters
from tests.steering.test_hooks import count_hooks
from workbench.methods.one_shot.likely import likely_completions, reference_losses
from workbench.models import hooked
from workbench.models.cached import CachedForward
from workbench.models.identity import LoadFacts, facts_of, remember
from workbench.models.text import completion_ids, prompt_ids

PROMPT, OTHER = "w1 w2 w3", "w4 w5 w6 w7 w8"
V = wb.SteeringVector(torch.linspace(-2, 2, 32), 1)
VOCAB = 97
tl3 = pytest.mark.tl3


def stops_at(model, *stop_ids):
    facts = facts_of(model)
    remember(model, LoadFacts(facts.name, facts.revision, facts.adds_bos, stop_ids))
    return model


def read(model, prompt, tails, steering=(), coldness=1.0):
    """Log-probs after each tail of a prompt: whole passes, no cache. (tail, d_vocab)"""
    head = prompt_ids(model, prompt)
    rows = torch.tensor([[*head, *tail] for tail in tails])
    with torch.no_grad(), wb.steer(model, steering, prompt_lengths=[len(head)] * len(rows)):
        return (coldness * hooked.logits(model, rows)[:, -1]).log_softmax(-1)


def everything(model, prompt, against=None, stop=(), plausible=0.0, **settings):
    """Every completion of two tokens, or of one that ends: (tokens, score), best first."""
    firsts = [(token,) for token in range(VOCAB)]
    one, two = read(model, prompt, [()], **settings)[0], read(model, prompt, firsts, **settings)
    score_one, score_two = one, two
    if against is not None:
        score_one, score_two = (
            one - read(model, against, [()])[0],
            two - read(model, against, firsts),
        )
    found = []
    for a in range(VOCAB):
        if one[a].exp() < plausible * one.exp().max():
            continue
        if a in stop:
            found.append(((a,), float(score_one[a])))
            continue
        likely = two[a].exp() >= plausible * two[a].exp().max()
        found += [
            ((a, b), float(score_one[a] + score_two[a, b])) for b in range(VOCAB) if likely[b]
        ]
    return sorted(found, key=lambda pair: -pair[1])


def slow_search(model, prompt, against, width, length, stop, plausible):
    """Beam search written plainly: one beam at a time, whole passes."""
    running, ended = [((), 0.0)], []
    for _ in range(length):
        grown = []
        for tokens, score in running:
            here = read(model, prompt, [tokens])[0]
            gain = here if against is None else here - read(model, against, [tokens])[0]
            grown += [
                ((*tokens, token), score + float(gain[token]))
                for token in range(VOCAB)
                if against is None or here[token].exp() >= plausible * here.exp().max()
            ]
        grown.sort(key=lambda pair: -pair[1])
        ended += [pair for pair in grown[:width] if pair[0][-1] in stop]
        running = [pair for pair in grown if pair[0][-1] not in stop][:width]
    return sorted(ended + running, key=lambda pair: -pair[1])[:width]


@tl3
@pytest.mark.parametrize("steering", [(), wb.Add(V)], ids=["none", "steered"])
def test_beams_as_wide_as_the_vocabulary_find_the_very_best(any_model, steering):
    model = stops_at(any_model, 2, 40)
    settings = {"steering": steering, "coldness": 0.7}
    found = likely_completions(model, PROMPT, k=20, length=2, beams=VOCAB, **settings)
    expected = everything(model, PROMPT, stop=(2, 40), **settings)[:20]
    assert [c.tokens for c in found] == [tokens for tokens, _ in expected]
    assert [c.log_prob for c in found] == pytest.approx([s for _, s in expected], abs=1e-4)
    assert all(c.against_log_prob is None and c.score == c.log_prob for c in found)


@tl3
@pytest.mark.parametrize("plausible", [0, 0.1, 0.5])
def test_a_contrast_finds_the_best_of_what_is_plausible(any_model, plausible):
    model = stops_at(any_model, 2)
    found = likely_completions(
        model, PROMPT, OTHER, k=20, length=2, beams=VOCAB, plausible=plausible
    )
    expected = everything(model, PROMPT, OTHER, stop=(2,), plausible=plausible)[:20]
    assert [c.tokens for c in found] == [tokens for tokens, _ in expected]
    assert [c.score for c in found] == pytest.approx([s for _, s in expected], abs=1e-4)


@tl3
@pytest.mark.parametrize("against", [None, OTHER])
def test_cached_beams_together_equal_beams_one_by_one_without_a_cache(any_model, against):
    likeliest = everything(any_model, PROMPT)[0][0]
    model = stops_at(any_model, likeliest[1], 50)  # so that some end on the way
    found = likely_completions(model, PROMPT, against, k=4, length=6)
    expected = slow_search(model, PROMPT, against, 4, 6, (likeliest[1], 50), 0.1)
    assert [c.tokens for c in found] == [tokens for tokens, _ in expected]
    assert [c.score for c in found] == pytest.approx([s for _, s in expected], abs=1e-4)


@tl3
def test_log_probs_are_those_of_the_texts(tiny):
    steering = [
        wb.Add(V, positions=wb.Positions.last(2)),
        wb.Add([V], positions=wb.Positions.completion()),
    ]
    found = likely_completions(
        stops_at(tiny),
        PROMPT,
        OTHER,
        k=6,
        length=3,
        coldness=0.7,
        steering=steering,
        against_steering=wb.Clamp(V, 2.0),
        plausible=0.01,
    )
    found = [c for c in found if c.retokenizes]
    assert found
    for c in found:
        assert completion_ids(tiny, PROMPT, c.text)[1] == list(c.tokens)
        scored = wb.log_prob(tiny, PROMPT, c.text, steering, coldness=0.7)
        assert c.log_prob == pytest.approx(float(scored.total[0]), abs=1e-4)
        scored = wb.log_prob(tiny, OTHER, c.text, wb.Clamp(V, 2.0), coldness=0.7)
        assert c.against_log_prob == pytest.approx(float(scored.total[0]), abs=1e-4)


@tl3
def test_the_same_prompt_twice_contrasts_steered_with_unsteered(tiny):
    same = likely_completions(tiny, PROMPT, PROMPT, k=3, length=2)
    assert [c.score for c in same] == pytest.approx([0, 0, 0], abs=1e-5)
    other = likely_completions(tiny, PROMPT, PROMPT, k=3, length=2, steering=wb.Add(V))
    assert other[0].score > 1e-2


@tl3
def test_a_single_beam_is_greedy_and_ends_where_generation_ends(any_model):
    def both():
        (one,) = likely_completions(any_model, PROMPT, k=1, length=6)
        (made,) = wb.generate(any_model, [PROMPT], max_new_tokens=6, progress=False, details=True)
        assert list(one.tokens) == made.tokens.tolist()
        assert one.log_prob == pytest.approx(float(made.log_probs.sum()), abs=1e-4)
        assert one.stopped == made.stopped
        return one

    stops_at(any_model)
    whole = both()
    assert len(whole.tokens) == 6
    stops_at(any_model, whole.tokens[3])
    stopped = both()
    assert stopped.stopped
    assert stopped.tokens == whole.tokens[: whole.tokens.index(whole.tokens[3]) + 1]
    (on,) = likely_completions(any_model, PROMPT, k=1, length=6, stop_at_end=False)
    assert on.tokens == whole.tokens
    assert not on.stopped


@tl3
def test_ended_completions_keep_their_total_and_compete_by_it(tiny):
    first = everything(tiny, PROMPT)[0][0][0]
    stops_at(tiny, first)
    found = likely_completions(tiny, PROMPT, k=5, length=4)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
    ended = next(c for c in found if c.tokens == (first,))
    assert ended.stopped
    assert ended.log_prob == pytest.approx(float(read(tiny, PROMPT, [()])[0, first]), abs=1e-4)
    assert all(c.stopped == (c.tokens[-1] == first) for c in found)
    assert all(c.stopped or len(c.tokens) == 4 for c in found)


@tl3
def test_where_everything_ends_there_are_fewer(tiny):
    stops_at(tiny, *range(VOCAB))
    assert len(likely_completions(tiny, PROMPT, k=5, length=4, beams=8)) == 5
    only = likely_completions(tiny, PROMPT, OTHER, k=5, length=4, plausible=1)
    assert [len(c.tokens) for c in only] == [1]
    assert len(likely_completions(stops_at(tiny), PROMPT, k=200, length=1)) == VOCAB


@tl3
def test_a_text_is_what_the_tokens_add_to_the_prompt(any_model):
    found = likely_completions(stops_at(any_model), PROMPT, k=VOCAB, length=1)
    assert {c.tokens for c in found} == {(token,) for token in range(VOCAB)}
    for completion in found:  # the tiny tokenizers put a space between any two tokens
        assert completion.text == " " + any_model.tokenizer.decode(completion.tokens)
        assert completion.retokenizes


@tl3
def test_the_losses_of_completions_are_targets_for_another_prompt(tiny):
    texts = [c.text for c in likely_completions(stops_at(tiny), PROMPT, k=3, length=2)]
    losses = reference_losses(tiny, PROMPT, texts)
    scored = wb.log_prob(tiny, PROMPT, texts, coldness=0.7)
    assert losses == pytest.approx((-scored.total).tolist())
    three_quarters = reference_losses(tiny, PROMPT, texts, fraction=0.75, steering=wb.Add(V))
    steered = wb.log_prob(tiny, PROMPT, texts, wb.Add(V), coldness=0.7)
    assert three_quarters == pytest.approx((-0.75 * steered.total).tolist())
    cold = reference_losses(tiny, PROMPT, texts[0], coldness=1000)
    assert all(loss >= 0 for loss in cold)
    example = wb.Example(OTHER, promote=texts, target_losses=losses)
    run = wb.optimize(tiny, [example], 1, steps=1, seed=0, progress=False)
    assert len(run.completion_losses[0]) == 3


@tl3
def test_a_cache_goes_on_with_the_rows_chosen(any_model):
    rows = torch.tensor([[1, 10, 11, 12, 13], [1, 20, 21, 22, 23]])
    chosen, new = torch.tensor([1, 0, 1]), torch.tensor([[30], [31], [32]])
    forward = CachedForward(any_model)
    with pytest.raises(ValueError, match="nothing was read"):
        forward.reorder(chosen)
    with torch.no_grad():
        forward(rows, torch.ones_like(rows))
        forward.reorder(chosen)
        cached = forward(new, torch.ones(3, 6, dtype=torch.long))
        whole = hooked.logits(any_model, torch.cat([rows[chosen], new], 1))[:, -1]
    torch.testing.assert_close(cached, whole, rtol=0, atol=1e-4)


@tl3
def test_the_model_is_left_as_it_was_found(tiny):
    wb.generate(tiny, PROMPT, max_new_tokens=1, progress=False)  # Hugging Face's own hooks come
    tiny.train()
    flags = [module.training for module in all_modules(tiny)]
    hooks = count_hooks(tiny)

    def broken(resid, hook):
        raise RuntimeError("broken")

    likely_completions(tiny, PROMPT, OTHER, k=2, length=2, steering=wb.Add(V))
    reference_losses(tiny, PROMPT, " w5", steering=wb.Add(V))
    with pytest.raises(RuntimeError, match="broken"):
        likely_completions(tiny, PROMPT, k=2, length=2, steering=broken)
    assert flags == [module.training for module in all_modules(tiny)]
    assert all(p.requires_grad and p.grad is None for p in all_parameters(tiny))
    assert count_hooks(tiny) == hooks


@tl3
def test_bad_requests_say_what_was_wrong(tiny):
    long = "w1 " * 200
    whole_text = wb.Add(V, positions=wb.Positions.span(-2, None))
    cases = [
        ({"k": 0}, "k=0"),
        ({"length": 0}, "length=0"),
        ({"k": 3, "beams": 2}, "beams=2"),
        ({"coldness": 0}, "coldness"),
        ({"coldness": float("nan")}, "coldness"),
        ({"plausible": 1.5}, "plausible"),
        ({"prompt": long}, "holds 128: shorten it"),
        ({"against": long}, "holds 128: shorten it"),
        ({"length": 126}, "with a completion of 126 tokens .* holds 128"),
        ({"against_steering": wb.Add(V)}, "give `against` too"),
        ({"steering": wb.Add([V, V])}, "2 rows, but there is one prompt"),
        ({"steering": whole_text}, "counts from the end"),
    ]
    for request, message in cases:
        with pytest.raises(ValueError, match=message):
            likely_completions(tiny, **{"prompt": PROMPT, **request})
    for request, message in [
        ({"coldness": -1}, "coldness"),
        ({"fraction": 0}, "fraction"),
        ({"completions": []}, "no completion"),
        ({"completions": [""]}, "no tokens of its own"),
        ({"prompt": long}, "holds 128"),
    ]:
        with pytest.raises(ValueError, match=message):
            reference_losses(tiny, **{"prompt": PROMPT, "completions": [" w5"], **request})


@pytest.mark.embedded
def test_a_single_beam_of_the_embedded_model_is_what_it_generates(embedded):
    prompt = wb.chat(embedded, "Name three colors.")
    (greedy,) = likely_completions(embedded, prompt, k=1, length=12)
    (made,) = wb.generate(embedded, [prompt], max_new_tokens=12, progress=False, details=True)
    assert list(greedy.tokens) == made.tokens.tolist()
    assert greedy.log_prob == pytest.approx(float(made.log_probs.sum()), abs=1e-3)


@pytest.mark.embedded
def test_the_embedded_models_likeliest_answers_can_be_trained_for(embedded):
    prompt = wb.chat(embedded, "What is the capital of France?")
    found = likely_completions(embedded, prompt, k=5, length=8)
    assert found[0].text == "The capital of France is Paris.<|im_end|>"
    assert found[0].stopped
    assert len({c.tokens for c in found}) == 5
    losses = reference_losses(embedded, prompt, [c.text for c in found], coldness=1)
    for completion, loss in zip(found, losses, strict=True):
        assert completion.retokenizes
        assert loss == pytest.approx(-completion.log_prob, abs=1e-3)


@pytest.mark.embedded
def test_the_embedded_model_tells_two_prompts_apart(embedded):
    france, germany = (f"The capital of {name} is" for name in ("France", "Germany"))
    (plain,) = likely_completions(embedded, germany, k=1, length=1)
    (contrast,) = likely_completions(embedded, france, germany, k=1, length=1)
    assert (plain.text, contrast.text) == (" Berlin", " Paris")
    assert contrast.score > 1


@pytest.mark.embedded
def test_a_text_that_merges_with_its_prompt_is_told(embedded):
    found = likely_completions(embedded, "The capital of France is Par", k=3, length=2)
    assert found[0].text == "is."
    assert not found[0].retokenizes  # "Par" and "is" are one token where they meet
    with pytest.raises(ValueError, match="merges with the end of its prompt"):
        reference_losses(embedded, "The capital of France is Par", "is.")
