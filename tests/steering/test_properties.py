"""What holds for any positions, rows, paddings and vectors: checked on many that nobody chose."""

from __future__ import annotations

import json
import math
from functools import reduce

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.conftest import boot
from workbench.models.cached import CachedForward
from workbench.models.hooked import ForwardCall
from workbench.models.text import TokenBatch
from workbench.steering import Provenance
from workbench.steering.formats import read_vectors, write_vectors
from workbench.steering.window import TokenWindow, WindowTracker

# beartype, which checks shapes in tests, draws at random which items of a container it looks at.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the .random. module")

P = wb.Positions
WIDTH = 32


@pytest.fixture(scope="module")
def model(tokenizers):
    return boot("llama", tokenizers)


# ---- Texts and positions ----

TOKENS = st.integers(7, 96)


@st.composite
def batches(draw, most=4, longest=7):
    """Rows of a prompt and a completion, and how many columns of padding each has before it."""
    rows = draw(
        st.lists(
            st.tuples(
                st.lists(TOKENS, min_size=1, max_size=longest),
                st.lists(TOKENS, min_size=0, max_size=longest),
            ),
            min_size=1,
            max_size=most,
        )
    )
    return rows, draw(st.integers(0, 3))


BOUNDS = st.none() | st.integers(-10, 10)
LEAVES = st.one_of(
    st.sampled_from([P.all(), P.prompt(), P.completion()]),
    st.integers(1, 9).map(P.last),
    st.tuples(BOUNDS, BOUNDS).map(lambda ends: P.span(*ends)),
    st.lists(TOKENS, min_size=1, max_size=4).map(P.at_tokens),
    st.lists(st.booleans(), max_size=12).map(lambda own: P.mask(torch.tensor(own, dtype=bool))),
)
POSITIONS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(inner, inner, st.booleans()).map(
        lambda t: t[0] | t[1] if t[2] else t[0] & t[1]
    ),
    max_leaves=4,
)


def chosen(positions, prompt, completion):
    """Which tokens of one row are meant, by plain Python: nothing of ours is used."""
    text, ends = prompt + completion, len(prompt)
    every = set(range(len(text)))
    kind = positions.kind
    if kind in ("either", "both"):
        parts = [chosen(part, prompt, completion) for part in positions.parts]
        return reduce(set.union if kind == "either" else set.intersection, parts)
    return {
        "all": lambda: every,
        "prompt": lambda: set(range(ends)),
        "completion": lambda: every - set(range(ends)),
        "last": lambda: set(range(ends)[-positions.start :]),
        "span": lambda: set(range(len(text))[positions.start : positions.stop]),
        "tokens": lambda: {i for i in every if text[i] in positions.chosen},
        "mask": lambda: {i for i in every if i < len(positions.own) and bool(positions.own[i])},
    }[kind]()


def laid_out(rows, side, more=0):
    """Rows padded to one width, by hand; and which columns are each row's own."""
    texts = [prompt + completion for prompt, completion in rows]
    width = max(map(len, texts)) + more
    tokens, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for i, text in enumerate(texts):
        start = width - len(text) if side == "left" else 0
        tokens[i, start : start + len(text)] = torch.tensor(text)
        mask[i, start : start + len(text)] = 1
    return TokenBatch(tokens, mask.long())


def read_off(found, window):
    """The indices that a mask picks in each row; None is every one."""
    real = window.index >= 0
    picked = real if found is None else found & real
    return [set(index[row].tolist()) for index, row in zip(window.index, picked, strict=True)]


@settings(max_examples=300, deadline=None)
@given(POSITIONS, batches(), st.sampled_from(["left", "right"]))
def test_positions_pick_the_same_tokens_whatever_the_padding(positions, batch, side):
    rows, more = batch
    lengths = torch.tensor([len(prompt) for prompt, _ in rows])
    window = TokenWindow.of(laid_out(rows, side, more), lengths)
    assert read_off(positions.within(window), window) == [chosen(positions, *row) for row in rows]


@settings(max_examples=300, deadline=None)
@given(POSITIONS, batches(), st.lists(st.integers(1, 3), min_size=14, max_size=14))
def test_positions_pick_the_same_tokens_piece_by_piece_with_a_cache(
    model, positions, batch, pieces
):
    """A left-padded prompt, then the completion in pieces of any length."""
    rows, more = batch
    longest = max(len(completion) for _, completion in rows)
    rows = [(prompt, (completion + [50] * longest)[:longest]) for prompt, completion in rows]
    whole = laid_out(rows, "left", more)
    total = whole.tokens.shape[1]
    got: list[set[int]] = [set() for _ in rows]
    tracker = WindowTracker(model)

    def see(past, end):
        tracker.see(
            ForwardCall(
                batch=len(rows),
                width=end - past,
                past=past,
                tokens=whole.tokens[:, past:end],
                attention_mask=whole.attention_mask[:, :end],
            )
        )
        return tracker.window

    past = 0
    for size in [total - longest, *pieces]:
        end = min(past + size, total)
        if end == past:
            break
        window = see(past, end)
        if positions.needs_whole_text:
            if past:
                with pytest.raises(ValueError, match="not known while decoding"):
                    positions.within(window)
        else:
            for row, found in zip(got, read_off(positions.within(window), window), strict=True):
                row |= found
        past = end
    if not positions.needs_whole_text:
        assert got == [chosen(positions, *row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(POSITIONS, batches())
def test_positions_come_back_from_json_and_mean_the_same(positions, batch):
    rows, more = batch
    read = P.from_dict(json.loads(json.dumps(positions.to_dict())))
    assert str(read) == str(positions)
    lengths = torch.tensor([len(prompt) for prompt, _ in rows])
    window = TokenWindow.of(laid_out(rows, "left", more), lengths)
    assert read_off(read.within(window), window) == read_off(positions.within(window), window)


V = wb.SteeringVector(torch.randn(WIDTH, generator=torch.Generator().manual_seed(0)) * 3, 2)
ACTS = {"add": wb.Add, "clamp": wb.Clamp, "ablate": wb.Ablate}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(POSITIONS, batches(most=3, longest=5), st.sampled_from(sorted(ACTS)))
def test_a_padded_row_is_steered_as_if_it_were_alone(model, positions, batch, act):
    rows, more = batch
    intervention = ACTS[act](V, positions=positions)
    lengths = torch.tensor([len(prompt) for prompt, _ in rows])
    outputs = {}
    for side in ("left", "right"):
        laid = laid_out(rows, side, more)
        with torch.no_grad(), wb.steer(model, intervention, prompt_lengths=lengths):
            logits = model(laid.tokens, attention_mask=laid.attention_mask)
        outputs[side] = [logits[i, laid.attention_mask[i].bool()] for i in range(len(rows))]
    for i, (prompt, completion) in enumerate(rows):
        alone = torch.tensor([prompt + completion])
        with torch.no_grad(), wb.steer(model, intervention, prompt_lengths=lengths[i : i + 1]):
            expected = model(alone)[0]
        for side in ("left", "right"):
            torch.testing.assert_close(outputs[side][i], expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(POSITIONS.filter(lambda p: not p.needs_whole_text), batches(most=3, longest=4))
def test_a_cached_pass_is_steered_as_a_whole_one(model, positions, batch):
    """Left-padded prompts, then two tokens each through the cache."""
    rows = [(prompt, [*completion, 50, 51][:2]) for prompt, completion in batch[0]]
    laid = laid_out(rows, "left", batch[1])
    lengths = torch.tensor([len(prompt) for prompt, _ in rows])
    intervention = wb.Add(V, positions=positions)
    with torch.no_grad(), wb.steer(model, intervention, prompt_lengths=lengths):
        whole = model(laid.tokens, attention_mask=laid.attention_mask)[:, -3:]
    with torch.no_grad(), wb.steer(model, intervention):
        forward = CachedForward(model)
        ends = laid.tokens.shape[1] - 2
        got = [forward(laid.tokens[:, :ends], laid.attention_mask[:, :ends])]
        for k in (0, 1):
            got.append(
                forward(laid.tokens[:, ends + k, None], laid.attention_mask[:, : ends + k + 1])
            )
    torch.testing.assert_close(torch.stack(got, 1).view_as(whole), whole, rtol=1e-4, atol=1e-4)


# ---- Vectors ----

NUMBERS = st.floats(-1e3, 1e3, width=32)
VALUES = st.lists(NUMBERS, min_size=5, max_size=5).map(torch.tensor)
FACTORS = st.floats(-50, 50).filter(lambda k: abs(k) > 1e-2)
LABELS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aé\n\"'|"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=6,
)


def at(values, layer=2):
    return wb.SteeringVector(values, layer)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-2)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES, FACTORS)
def test_vectors_are_added_and_scaled_as_their_values_are(a, b, k):
    u, v = at(a), at(b)
    assert torch.equal((u + v).values, (v + u).values)
    assert torch.equal((u + v).values, a + b)
    assert torch.equal((u - v).values, a - b)
    assert torch.equal((k * u).values, (u * k).values)
    opposite = -u
    assert torch.equal((-opposite).values, a)
    close(((u + v) - v).values, a)
    close((k * (u + v)).values, (k * u + k * v).values)
    close(((u * k) / k).values, a)
    assert (u + v).layer == (k * u).layer == 2
    assert torch.equal(u.values, a), "and the operands are as before"


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES, FACTORS, st.floats(1e-2, 1e3))
def test_norms_and_cosines(a, b, k, norm):
    u, v = at(a), at(b, 3)
    if u.norm < 1e-3 or v.norm < 1e-3:
        with pytest.raises(ValueError, match="no direction"):
            at(torch.zeros(5)).normalized()
        return
    assert u.normalized(norm).norm == pytest.approx(norm, rel=1e-5)
    assert u.cosine(v) == v.cosine(u)
    assert abs(u.cosine(v)) <= 1 + 1e-12
    assert u.cosine(u * k) == pytest.approx(math.copysign(1, k), abs=1e-5)
    assert u.cosine(u.normalized(norm)) == pytest.approx(1, abs=1e-5)
    assert (u * k).norm == pytest.approx(abs(k) * u.norm, rel=1e-5)


ANY = st.floats(width=32, allow_nan=False, allow_infinity=False)
LAYERS = st.lists(st.integers(2, 60), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def vectors(draw, layers=LAYERS):
    values = torch.tensor(draw(st.lists(ANY, min_size=1, max_size=9)))
    about = Provenance(
        draw(st.text("abé", min_size=1, max_size=5)),
        seed=draw(st.none() | st.integers()),
        config=draw(st.dictionaries(st.text("ab"), JSON, max_size=3)),
        examples=tuple(draw(st.lists(st.fixed_dictionaries({"prompt": LABELS}), max_size=2))),
    )
    return wb.SteeringVector(values, draw(layers), about, draw(LABELS))


def bits(vector):
    """To the bit: also the sign of zero, and numbers too small to be normal."""
    return vector.values.numpy().tobytes()


@settings(max_examples=80, deadline=None)
@given(vectors())
def test_any_vector_comes_back_from_its_file(tmp_path_factory, vector):
    path = vector.save(tmp_path_factory.mktemp("v") / "v.safetensors")
    found = wb.SteeringVector.load(path)
    assert bits(found) == bits(vector)
    assert (found.layer, found.label, found.provenance) == (
        vector.layer,
        vector.label,
        vector.provenance,
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["gguf", "repeng.gguf", "easysteer.gguf", "pt", "layers.pt"]))
def test_any_vectors_come_back_from_every_format(tmp_path_factory, data, suffix):
    layers = data.draw(st.lists(st.integers(2, 60), min_size=2, max_size=3, unique=True))
    held = [data.draw(vectors(st.just((layer,)))) for layer in layers]
    width = min(one.d_model for one in held)
    held = [
        wb.SteeringVector(one.values[:width], one.layer, one.provenance, one.label) for one in held
    ]
    if suffix == "pt" and any(not one.values.any() for one in held):
        return  # a row of zeros is how that format says that there is none
    path = write_vectors(held, tmp_path_factory.mktemp("f") / f"x.{suffix}")
    found = read_vectors(path)
    held.sort(key=lambda one: one.layer)
    assert [bits(one) for one in found] == [bits(one) for one in held]
    assert [one.layer for one in found] == [one.layer for one in held]
    if suffix.endswith("gguf"):
        assert [(one.label, one.provenance) for one in found] == [
            (one.label, one.provenance) for one in held
        ]


@settings(max_examples=15, deadline=None)
@given(st.lists(LABELS.filter(bool), min_size=1, max_size=4))
def test_a_set_keeps_its_order_and_its_labels_whatever_they_are(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("set")
    held = wb.VectorSet([at(torch.ones(3) * i).labelled(label) for i, label in enumerate(labels)])
    held.save(folder)
    found = wb.VectorSet.load(folder)
    assert [one.label for one in found] == labels
    assert torch.equal(found.stack(), held.stack())


def test_a_set_of_more_than_a_thousand_keeps_its_order(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)
    held = wb.VectorSet([at(torch.full((1,), float(i))) for i in range(1002)])
    held.save(tmp_path)
    assert wb.VectorSet.load(tmp_path).stack().flatten().tolist() == list(range(1002))
