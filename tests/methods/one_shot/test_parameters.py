"""Whatever is trained: its gradient is the plain one, and applied it does what was reported."""

from dataclasses import replace

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.descent import Descent
from workbench.models.hooked import logits, resid_pre
from workbench.models.text import completion_ids
from workbench.steering.positions import Positions

pytestmark = pytest.mark.tl3

PLAIN = wb.Example("w1 w2 w3", promote=[" w10 w11", " w13"], suppress=[" w14 w15"])
EXAMPLES = [
    PLAIN,
    wb.Example("w4 w5 w6 w7 w8", promote=[" w20"], negated=True),
    wb.Example("w1 w30 w31", suppress=[" w21 w22"], positions=Positions.last(2)),
]
WAYS = {
    "add": {},
    "clamp": {"intervention": "clamp", "clamp_value": 2.0},
    "affine": {"intervention": "affine", "rank": 2},
    "matrix": {"intervention": "matrix", "rank": 2},
    "add, one a layer": {"one_a_layer": True},
    "clamp, one a layer": {"one_a_layer": True, "intervention": "clamp", "clamp_value": 0.5},
}


def opposite(one):
    """The intervention whose edit is the opposite one."""
    if isinstance(one, wb.Add):
        return replace(one, scale=-1.0)
    if isinstance(one, wb.Clamp):
        return replace(one, vector=-one.vector)
    vector = None if one.map.vector is None else -one.map.vector
    return replace(one, map=wb.AffineMap(-one.map.left, one.map.right, vector, one.map.layers))


def applied_losses(model, interventions, examples=EXAMPLES):
    """Each completion's loss by `log_prob`, under interventions as a user applies them."""
    losses = []
    for example in examples:
        ours = [opposite(one) if example.negated else one for one in interventions]
        if example.positions is not None:
            ours = [replace(one, positions=example.positions) for one in ours]
        completions = list(example.completions)
        scored = wb.log_prob(model, example.prompt, completions, ours, coldness=0.7)
        for text, terms in zip(completions, scored.token_log_probs, strict=True):
            terms = terms.double()
            terms = -terms if text in example.promote else -(-terms.exp()).log1p()
            losses.append(float(terms.sum()))
    return losses


def made(one):
    return one.map if isinstance(one, wb.Affine) else one.vector


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layer", [1, (1, 3)], ids=["one layer", "two"])
def test_what_was_trained_does_what_was_reported(tiny, tmp_path, way, layer):
    run = wb.optimize(
        tiny, EXAMPLES, layer, steps=3, keep="last", seed=1, progress=False, **WAYS[way]
    )
    reported = made(run.interventions[0]).provenance.results["completion_losses"]
    found = applied_losses(tiny, run.interventions)
    assert found == pytest.approx(reported, rel=1e-4, abs=1e-5)
    assert run.loss == pytest.approx(sum(found), rel=1e-4)
    assert run.loss != pytest.approx(run.losses[0], rel=1e-3)
    path = wb.save_interventions(tmp_path / "trained.safetensors", run.interventions)
    assert applied_losses(tiny, wb.load_interventions(path)) == found


def test_the_best_iterate_of_a_map_is_its_vector_with_its_matrix(tiny):
    """Every part is of the step that is reported."""
    settings = {"steps": 8, "learning_rate": 1.5, "intervention": "affine", "progress": False}
    run = wb.optimize(tiny, EXAMPLES, 1, **settings)
    assert run.loss == min([*run.losses, run.last_loss])
    assert sum(applied_losses(tiny, run.interventions)) == pytest.approx(run.loss, rel=1e-4)


# ---- Gradients ----


def plain_edit(way, parts, layers, layer, sign):
    """The edit of a stream, written out."""
    at = layers.index(layer) if "one a layer" in way else 0
    vector = sign * parts[at]
    if way.startswith("add"):
        return lambda x: x + vector
    if way.startswith("clamp"):
        unit, value = vector / vector.norm(), WAYS[way]["clamp_value"]
        return lambda x: x - (x @ unit)[..., None] * unit + value * vector
    left, right = parts[way == "affine" :].chunk(2)
    added = vector if way == "affine" else 0.0
    return lambda x: x + sign * (x @ (left.T @ right).T) + added


def plain_loss(model, way, parts, layers, examples):
    """The sum of the losses by whole passes, one completion at a time, with autograd."""
    total = torch.zeros(())
    for example in examples:
        sign = -1.0 if example.negated else 1.0
        for text in example.completions:
            head, tail = completion_ids(model, example.prompt, text)
            place = torch.arange(len(head + tail))
            here = torch.ones(len(place), dtype=torch.bool)
            if example.positions is not None:  # the last two of the prompt
                here = (place >= len(head) - 2) & (place < len(head))

            def hook(resid, hook, here=here, sign=sign):
                layer = int(hook.name.split(".")[1])
                edited = plain_edit(way, parts, layers, layer, sign)(resid)
                return torch.where(here[:, None], edited, resid)

            hooks = [(resid_pre(layer), hook) for layer in layers]
            with model.hooks(fwd_hooks=hooks):
                read = logits(model, torch.tensor([head + tail]))[0, len(head) - 1 : -1]
            p = (0.7 * read.double()).softmax(-1)[range(len(tail)), tail]
            terms = p.log() if text in example.promote else (1 - p).log()
            total = total - terms.sum()
    return total


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layers", [(2,), (0, 2)], ids=["one layer", "two"])
def test_gradients_equal_those_of_a_plain_full_pass(tiny, monkeypatch, way, layers):
    """A clamp's goes through its projection; of two layers none is lost."""
    seen = []
    step = Descent._step

    def keep(self, adam, values, gradient):
        seen.append((values.detach().clone(), gradient.clone()))
        step(self, adam, values, gradient)

    monkeypatch.setattr(Descent, "_step", keep)
    settings = {"steps": 1, "start_norm": 2.0, "seed": 4, "progress": False}
    run = wb.optimize(tiny, EXAMPLES, layers, **settings, **WAYS[way])
    ((values, gradient),) = seen
    free = values.clone().requires_grad_()
    loss = plain_loss(tiny, way, free, layers, EXAMPLES)
    (expected,) = torch.autograd.grad(loss, free)
    assert run.losses[0] == pytest.approx(float(loss), rel=1e-4)
    assert len(values) == (len(layers) if "one a layer" in way else 1) or WAYS[way].get("rank")
    assert (expected.norm(dim=-1) > 1e-2).all()
    gap = (gradient - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert gap.max() < 1e-3


# ---- Bounds, starts, and what cannot be combined ----


def test_rows_of_the_factors_and_the_vector_keep_their_own_bounds(tiny):
    run = wb.optimize(
        tiny,
        [PLAIN],
        1,
        steps=4,
        learning_rate=1.0,
        intervention="affine",
        rank=3,
        max_row_norm=0.5,
        max_norm=3.0,
        start_norm=2.0,
        keep="last",
        progress=False,
    )
    (one,) = run.interventions
    assert one.map.rank == 3
    for factor in (one.map.left, one.map.right):
        assert (factor.norm(dim=-1) <= 0.5 + 1e-5).all()
    assert run.vector.norm <= 3.0 + 1e-5
    assert run.vector.norm > 0.6


def test_the_matrix_is_trained_and_a_clamp_has_none(tiny):
    """The published code takes a clamp with a matrix, and returns the matrix as it began."""
    settings = {"rank": 2, "seed": 2, "keep": "last", "progress": False}
    for way in ("affine", "matrix"):
        first, last = (
            wb.optimize(tiny, [PLAIN], 1, steps=n, intervention=way, **settings) for n in (0, 3)
        )
        before, after = first.interventions[0].map, last.interventions[0].map
        assert ((before.left - after.left).norm(dim=-1) > 1e-2).all()
        assert ((before.right - after.right).norm(dim=-1) > 1e-2).all()
        assert torch.allclose(before.left.norm(dim=-1), torch.ones(2))
    assert last.vectors == ()
    with pytest.raises(ValueError, match="has 0 vectors"):
        _ = last.vector
    clamped = wb.optimize(tiny, [PLAIN], 1, steps=1, intervention="clamp", **settings)
    assert [type(one) for one in clamped.interventions] == [wb.Clamp]


def test_bfloat16_weights_are_edited_in_training_as_they_are_when_applied(tokenizers):
    from tests.conftest import tiny_hf, wrap

    half = wrap(tiny_hf("llama").bfloat16(), tokenizers[True], name="tiny-llama")
    settings = {"steps": 1, "intervention": "affine", "keep": "last", "progress": False}
    run = wb.optimize(half, [PLAIN], 1, **settings)
    assert sum(applied_losses(half, run.interventions, [PLAIN])) == pytest.approx(
        run.loss, rel=0.03
    )


def test_one_a_layer_starts_from_one_vector_or_from_each_its_own(tiny):
    start = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    settings = {"steps": 0, "one_a_layer": True, "progress": False}
    run = wb.optimize(tiny, [PLAIN], (1, 2), start=start, **settings)
    assert torch.equal(torch.stack([vector.values for vector in run.vectors]), start)
    assert [vector.layers for vector in run.vectors] == [(1,), (2,)]
    same = wb.optimize(tiny, [PLAIN], (1, 2), start=start[0], **settings)
    assert torch.equal(same.vectors[0].values, same.vectors[1].values)
    with pytest.raises(ValueError, match="has 2 vectors"):
        _ = run.vector


BAD = {
    "no direction": ({"intervention": "clamp", "start": torch.zeros(32)}, "no direction"),
    "a norm for zeros": ({"start": torch.zeros(32), "start_norm": 1.0}, "cannot be given a norm"),
    "too many": ({"start": torch.ones(2, 32)}, "2 vectors, the job trains 1"),
    "a matrix alone": ({"start": torch.ones(32), "intervention": "matrix"}, "the job trains 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_starts_say_so(tiny, case):
    settings, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        wb.optimize(tiny, [PLAIN], 1, progress=False, **settings)
