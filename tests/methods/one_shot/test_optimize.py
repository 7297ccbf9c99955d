"""The optimizer follows a plain loop over a Hugging Face model, and keeps its promises."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import workbench as wb
from tests.conftest import all_modules, all_parameters, boot, tiny_hf, wrap
from tests.steering.test_hooks import adding, count_hooks, hf_block
from workbench.methods.one_shot import finished
from workbench.methods.one_shot.descent import Descent
from workbench.models.text import completion_ids

pytestmark = pytest.mark.tl3

PROMOTED = wb.Example("w1 w2 w3", promote=[" w10 w11"])
SUPPRESSED = wb.Example("w4 w5", suppress=[" w12"])
MIXED = wb.Example("w1 w2 w3", promote=[" w10 w11", " w13"], suppress=[" w14 w15"])
EXAMPLES = {"promotion": [PROMOTED], "suppression": [SUPPRESSED], "mixed": [MIXED, SUPPRESSED]}


def plain_loop(kind, model, examples, layer, start, steps, rate, coldness=0.7, max_norm=None):
    """The paper's procedure written plainly: one completion at a time, full passes, float64."""
    hf = tiny_hf(kind).double().requires_grad_(False)
    v = start.double().clone().requires_grad_()
    adam = torch.optim.Adam([v], lr=rate)
    handle = hf_block(hf, layer).register_forward_pre_hook(adding(v), with_kwargs=True)
    losses = []
    for _ in range(steps):
        total = 0.0
        for example in examples:
            for completion in example.completions:
                head, tail = completion_ids(model, example.prompt, completion)
                read = hf(torch.tensor([head + tail])).logits[0, len(head) - 1 : -1]
                p = (coldness * read).softmax(-1)[range(len(tail)), tail]
                terms = p.log() if completion in example.promote else (1 - p).log()
                total = total - terms.sum()
        losses.append(float(total.detach()))
        adam.zero_grad()
        total.backward()
        adam.step()
        if max_norm is not None and v.norm() > max_norm:
            v.data *= max_norm / v.norm()
    handle.remove()
    return losses, v.detach()


@pytest.mark.parametrize("objective", EXAMPLES)
def test_it_follows_a_plain_hugging_face_loop(any_model, objective):
    start = torch.randn(32, generator=torch.Generator().manual_seed(0))
    settings = {"steps": 6, "learning_rate": 0.1}
    run = wb.optimize(
        any_model, EXAMPLES[objective], 2, start=start, keep="last", progress=False, **settings
    )
    losses, final = plain_loop(
        any_model.kind, any_model, EXAMPLES[objective], 2, start, steps=6, rate=0.1
    )
    assert run.losses == pytest.approx(losses, rel=1e-3, abs=1e-4)
    torch.testing.assert_close(run.vector.values.double(), final, rtol=1e-2, atol=2e-3)


GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
CASES = sorted(GOLDEN.glob("*.json"))


@pytest.mark.embedded
@pytest.mark.skipif(not CASES, reason="the golden loss curves are not beside this checkout")
@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_it_follows_the_golden_curves(embedded, case):
    golden = json.loads(case.read_text())
    tensors = load_file(case.with_suffix(".safetensors"))
    examples = [
        wb.Example(prompt, each.get("promote", ()), each.get("suppress", ()))
        for prompt, each in zip(golden["prompts_formatted"], golden["dps"], strict=True)
    ]
    assert [wb.chat(embedded, each["q"]) for each in golden["dps"]] == golden["prompts_formatted"]
    run = wb.optimize(
        embedded,
        examples,
        golden["layer"],
        steps=golden["iters"],
        learning_rate=golden["lr"],
        coldness=golden["coldness"],
        max_norm=golden.get("max_norm"),
        start=tensors["start"],
        keep="last",
        progress=False,
    )
    assert len(run.losses) == golden["iters"]
    for ours, theirs in zip(run.losses, golden["loss_history"], strict=True):
        assert abs(ours - theirs) <= max(2e-3 * theirs, 1e-3 if theirs < 0.5 else 0.0)
    assert run.vector.norm == pytest.approx(golden["final_norm"], rel=1e-3)
    cosine = torch.nn.functional.cosine_similarity(run.vector.values, tensors["final"], dim=0)
    assert cosine > 0.9999


def test_a_batch_of_jobs_equals_each_alone(any_model):
    jobs = [
        wb.OneShotJob([PROMOTED], 1, steps=5, seed=1),
        wb.OneShotJob([MIXED, SUPPRESSED], 3, steps=3, seed=2, learning_rate=0.3, coldness=1.0),
        wb.OneShotJob([SUPPRESSED], (1, 2), steps=5, seed=3, intervention="clamp"),
    ]
    together = wb.optimize_batch(any_model, jobs, progress=False)
    for job, run in zip(jobs, together, strict=True):
        (alone,) = wb.optimize_batch(any_model, [job], progress=False)
        assert len(run.losses) == job.steps
        gaps = [abs(a - b) / max(b, 0.5) for a, b in zip(run.losses, alone.losses, strict=True)]
        assert max(gaps) < 1e-3
        assert run.vector.layers == job.layers


def test_the_loss_of_a_vector_is_the_loss_of_that_vector(tiny):
    run = wb.optimize(tiny, [MIXED], 1, steps=25, learning_rate=2.0, progress=False)
    for vector, reported in ((run.vector, run.loss), (run.last_vector, run.last_loss)):
        zero = wb.optimize(tiny, [MIXED], 1, steps=0, start=vector, progress=False)
        assert zero.loss == pytest.approx(reported, rel=1e-4)
    assert run.loss == pytest.approx(min([*run.losses, run.last_loss]))
    assert run.step == [*run.losses, run.last_loss].index(run.loss)
    promoted = wb.log_prob(
        tiny, MIXED.prompt, list(MIXED.promote), wb.Add(run.vector), coldness=0.7
    )
    assert float(-promoted.total.sum()) <= run.loss + 1e-4


def test_steps_are_counted_exactly_and_the_first_loss_is_that_of_the_start(tiny):
    run = wb.optimize(tiny, [PROMOTED], 1, steps=3, progress=False)
    assert len(run.losses) == len(run.completion_losses) == len(run.norms) == 3
    assert run.norms[0] == pytest.approx(1.0)
    assert run.stopped == "steps"
    nothing = wb.optimize(tiny, [PROMOTED], 1, steps=0, progress=False)
    assert nothing.losses == ()
    assert nothing.loss == pytest.approx(run.losses[0])
    assert list(run.to_frame().columns)[:4] == ["step", "loss", "objective", "norm"]


def test_max_norm_holds_at_every_step_and_start_norm_at_the_first(tiny):
    run = wb.optimize(
        tiny,
        [PROMOTED],
        1,
        steps=8,
        learning_rate=1.0,
        start_norm=4.0,
        max_norm=5.0,
        progress=False,
    )
    assert run.norms[0] == pytest.approx(4.0, rel=1e-5)
    assert max(run.norms) <= 5.0 + 1e-4
    assert run.vector.norm <= 5.0 + 1e-4
    capped = wb.optimize(tiny, [PROMOTED], 1, steps=0, start_norm=9.0, max_norm=5.0, progress=False)
    assert capped.vector.norm == pytest.approx(5.0, rel=1e-5)


def test_a_target_stops_it_and_patience_waits(tiny):
    settings = {"steps": 60, "learning_rate": 0.3, "progress": False}
    free = wb.optimize(tiny, [PROMOTED], 1, **settings)
    target = free.losses[10]
    stopped = wb.optimize(tiny, [PROMOTED], 1, target_loss=target, **settings)
    assert stopped.stopped == "target"
    assert stopped.loss <= target
    patient = wb.optimize(tiny, [PROMOTED], 1, target_loss=target, patience=4, **settings)
    assert len(patient.losses) == len(stopped.losses) + 3


def test_targets_by_completion_are_all_met(tiny):
    free = wb.optimize(tiny, [MIXED], 1, steps=40, learning_rate=0.3, progress=False)
    targets = [loss * 1.05 for loss in free.completion_losses[25]]
    example = wb.Example(MIXED.prompt, MIXED.promote, MIXED.suppress, target_losses=targets)
    run = wb.optimize(tiny, [example], 1, steps=40, learning_rate=0.3, keep="last", progress=False)
    assert run.stopped == "target"
    final = run.vector.provenance.results["completion_losses"]
    assert all(loss <= target for loss, target in zip(final, targets, strict=True))


@pytest.mark.parametrize("side", ["above", "below"])
def test_satisficing_approaches_its_target_from_either_side(tiny, side):
    start = wb.optimize(tiny, [PROMOTED], 1, steps=0, progress=False).loss
    target = start - 2.0 if side == "above" else start + 1.0
    run = wb.optimize(
        tiny,
        [PROMOTED],
        1,
        steps=400,
        learning_rate=0.05,
        target_loss=target,
        satisfice=True,
        progress=False,
    )
    assert run.stopped == "target"
    assert run.loss == pytest.approx(target, abs=0.05)
    assert run.objectives[0] == pytest.approx((run.losses[0] - target) ** 2, rel=1e-3)


def test_a_negated_example_is_trained_with_the_opposite_vector(tiny):
    run = wb.optimize(
        tiny,
        [wb.Example("w1 w2 w3", promote=[" w10 w11"], negated=True)],
        1,
        steps=6,
        progress=False,
    )
    start = wb.optimize(tiny, [PROMOTED], 1, steps=0, progress=False).vector
    plain = wb.optimize(tiny, [PROMOTED], 1, steps=6, start=-start, progress=False)
    assert run.losses == pytest.approx(plain.losses, rel=1e-4)
    torch.testing.assert_close(run.vector.values, -plain.vector.values, rtol=1e-3, atol=1e-4)


def test_positions_by_example_reach_only_their_tokens(tiny):
    only_last = wb.Example("w1 w2 w3", promote=[" w10 w11"], positions=wb.Positions.last(1))
    run = wb.optimize(tiny, [only_last], 1, steps=4, progress=False)
    by_job = wb.optimize(
        tiny, [PROMOTED], 1, steps=4, positions=wb.Positions.last(1), progress=False
    )
    everywhere = wb.optimize(tiny, [PROMOTED], 1, steps=4, progress=False)
    assert run.losses == pytest.approx(by_job.losses, rel=1e-5)
    assert run.losses != pytest.approx(everywhere.losses, rel=1e-3)


def test_a_shared_vector_of_several_layers_has_the_true_gradient(tiny):
    """Against finite differences: the published code keeps only the last layer's part."""
    base = torch.randn(32, generator=torch.Generator().manual_seed(5))
    direction = torch.randn(32, generator=torch.Generator().manual_seed(6))

    def loss(values):
        return wb.optimize(tiny, [PROMOTED], (0, 2), steps=0, start=values, progress=False).loss

    step = 1e-2
    slope = (loss(base + step * direction) - loss(base - step * direction)) / (2 * step)
    seen = []

    def keep_gradient(self, adam, values, gradient):
        seen.append(gradient[0].clone())

    original, Descent._step = Descent._step, keep_gradient
    try:
        wb.optimize(
            tiny,
            [PROMOTED],
            (0, 2),
            steps=2,
            start=base,
            progress=False,
            callback=lambda descent: len(descent.history) > 1,
        )
    finally:
        Descent._step = original
    assert float(seen[0] @ direction) == pytest.approx(slope, rel=2e-2)


def test_same_seed_same_bits_and_another_seed_another_vector(tiny):
    runs = [wb.optimize(tiny, [MIXED], 1, steps=5, seed=seed, progress=False) for seed in (0, 0, 1)]
    assert torch.equal(runs[0].vector.values, runs[1].vector.values)
    assert runs[0].losses == runs[1].losses
    assert not torch.equal(runs[0].vector.values, runs[2].vector.values)


@pytest.mark.parametrize("ending", ["end", "error", "interrupt"])
def test_the_model_is_left_as_it_was_found(tiny, ending):
    tiny(torch.tensor([[1, 2]]))
    parameters = all_parameters(tiny)
    parameters[0].requires_grad_(False)
    tiny.train()
    before = (
        [p.requires_grad for p in parameters],
        [m.training for m in all_modules(tiny)],
        count_hooks(tiny),
    )

    def callback(descent):
        if len(descent.history) == 3 and ending != "end":
            raise KeyboardInterrupt if ending == "interrupt" else RuntimeError("on purpose")

    def go():
        return wb.optimize(tiny, [MIXED], 1, steps=5, callback=callback, progress=False)

    if ending == "error":
        with pytest.raises(RuntimeError, match="on purpose"):
            go()
    elif ending == "interrupt":
        with pytest.warns(UserWarning, match="interrupted"):
            run = go()
        assert run.stopped == "interrupted"
        assert run.loss == min([*run.losses, run.last_loss])
    else:
        with torch.no_grad():  # as TransformerLens notebooks have it
            go()
    after = (
        [p.requires_grad for p in parameters],
        [m.training for m in all_modules(tiny)],
        count_hooks(tiny),
    )
    assert before == after
    assert all(p.grad is None for p in parameters)


def test_bfloat16_weights_train_a_float32_vector_to_about_the_same(tokenizers):
    half = wrap(tiny_hf("llama").bfloat16(), tokenizers[True], name="tiny-llama")
    full = boot("llama", tokenizers)
    runs = [wb.optimize(m, [MIXED], 1, steps=10, progress=False) for m in (half, full)]
    assert runs[0].vector.values.dtype == torch.float32
    assert runs[0].losses == pytest.approx(runs[1].losses, rel=0.05)


def test_the_provenance_holds_everything(tiny):
    run = wb.optimize(
        tiny, [MIXED], 1, steps=4, seed=7, positions=wb.Positions.prompt(), progress=False
    )
    record = run.vector.provenance
    assert record.method == "one-shot"
    assert record.model.name == "tiny-llama"
    assert record.model.weight_processing == "raw"
    assert record.seed == 7
    assert record.positions == "prompt"
    assert record.config["learning_rate"] == 0.1
    assert record.examples[0]["promote"] == list(MIXED.promote)
    assert record.results["step"] == run.step
    assert len(record.results["losses"]) == 5
    assert set(record.versions) >= {"torch", "transformer-lens"}
    assert record.created


BAD = [
    (lambda m: wb.Example("w1"), ValueError, "promotes and suppresses nothing"),
    (lambda m: wb.Example("w1", promote=[""]), ValueError, "empty completion"),
    (
        lambda m: wb.Example("w1", promote=[" w2"], target_losses=[1.0, 2.0]),
        ValueError,
        "2 target losses for 1",
    ),
    (lambda m: wb.optimize(m, [], 1), ValueError, "at least one Example"),
    (lambda m: wb.optimize(m, [PROMOTED], 4), IndexError, "4 layers, 0 to 3"),
    (
        lambda m: wb.optimize(m, [PROMOTED], 1, start=torch.full((32,), float("nan"))),
        ValueError,
        "NaN or infinite",
    ),
    (lambda m: wb.optimize(m, [PROMOTED], 1, start=torch.ones(31)), ValueError, "31 wide"),
    (lambda m: wb.optimize(m, [PROMOTED], 1, learning_rate=0.0), ValueError, "learning_rate"),
    (lambda m: wb.optimize(m, [PROMOTED], 1, satisfice=True), ValueError, "target loss for every"),
    (
        lambda m: wb.optimize(m, [PROMOTED], 1, patience=0),
        ValueError,
        "patience and rank 1 or more",
    ),
    (
        lambda m: wb.optimize(m, [wb.Example("w1 " * 200, promote=[" w2"])], 1),
        ValueError,
        "context of tiny-llama holds 128",
    ),
    (
        lambda m: wb.optimize(m, [wb.Example("w1 w2", promote=["3"])], 1),
        ValueError,
        "merges with the end of its prompt",
    ),
]


@pytest.mark.parametrize(("make", "kind", "message"), BAD, ids=[case[2] for case in BAD])
def test_bad_input_says_what_was_wrong(tiny, make, kind, message):
    hooks = count_hooks(tiny)
    with pytest.raises(kind, match=message):
        make(tiny)
    assert count_hooks(tiny) == hooks


def test_what_was_interrupted_is_not_finished(tiny):
    jobs = [wb.OneShotJob([PROMOTED], 2, steps=2, label=str(i)) for i in range(2)]
    runs = wb.optimize_batch(tiny, jobs, progress=False)
    assert [vector.label for vector in finished(runs, jobs)] == ["0", "1"]
    with pytest.raises(KeyboardInterrupt):
        finished(runs[:1], jobs)

    def interrupt(descent):
        if len(descent.history) == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        begun = wb.optimize_batch(tiny, jobs, progress=False, callback=interrupt)
    with pytest.raises(KeyboardInterrupt):
        finished(begun, jobs)
