"""Affine maps: the formula at the layer, row by row, in generation; files; the model they fit."""

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from tests.conftest import boot, tiny_hf, wrap
from tests.steering.test_hooks import hf_block
from workbench.models.hooked import resid_pre
from workbench.models.identity import LoadFacts, facts_of, remember
from workbench.models.text import prompt_ids
from workbench.steering import Provenance
from workbench.steering.affine import SCHEMA

pytestmark = pytest.mark.tl3

TOKENS = torch.tensor([[1, 20, 30, 40, 50, 60], [1, 21, 31, 41, 51, 61]])
AT = resid_pre(2)
BY_HAND = Provenance("by hand")


def factors(rank=2, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, rank, width, generator=generator)
    return 2 * pair / pair.norm(dim=-1, keepdim=True)


def make(layers=2, rank=2, seed=0, width=32, provenance=BY_HAND, vector=True):
    left, right = factors(rank, width, seed)
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed + 100))
    added = wb.SteeringVector(values, layers, provenance) if vector else None
    return wb.AffineMap(left, right, added, layers, provenance)


def by_formula(x, made, scale=1.0):
    """`x + scale·(M x + v)` in float64, with M written out."""
    x, matrix = x.double(), made.left.double().T @ made.right.double()
    added = 0.0 if made.vector is None else made.vector.values.double()
    return (x + scale * (x @ matrix.T + added)).float()


def close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def run(model, *steering, tokens=TOKENS):
    with wb.steer(model, *steering):
        return model.run_with_cache(tokens)[1]


# ---- What it does ----


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("rank", [1, 3])
def test_the_stream_at_the_layer_is_the_formula_and_below_it_nothing_changes(
    any_model, rank, vector
):
    made = make(rank=rank, vector=vector)
    clean = run(any_model)
    for scale in (1.0, -0.5):
        steered = run(any_model, wb.Affine(made, scale=scale))
        for layer in (0, 1):
            assert torch.equal(steered[resid_pre(layer)], clean[resid_pre(layer)])
        close(steered[AT], by_formula(clean[AT], made, scale))
    assert (steered[resid_pre(3)] - clean[resid_pre(3)]).abs().max() > 0.01
    assert torch.equal(run(any_model, wb.Affine(made, scale=0))[AT], clean[AT])


def test_the_matrix_sees_the_stream_and_not_the_stream_with_the_vector(tiny):
    made = make()
    matrix_alone = wb.AffineMap(made.left, made.right, layers=2)
    clean = run(tiny)[AT]
    steered = run(tiny, wb.Affine(made))[AT]
    matrix_first = run(tiny, wb.Affine(matrix_alone), wb.Add(made.vector))[AT]
    vector_first = run(tiny, wb.Add(made.vector), wb.Affine(matrix_alone))[AT]
    close(steered, matrix_first)
    matrix_of_vector = made.left.T @ (made.right @ made.vector.values)
    assert matrix_of_vector.abs().max() > 0.1
    close(vector_first - steered, matrix_of_vector.expand_as(clean))


def test_several_layers_each_read_their_own_stream(tiny):
    made = make(layers=(1, 3))
    steered = run(tiny, wb.Affine(made))
    close(steered[resid_pre(1)], by_formula(run(tiny)[resid_pre(1)], made))
    first_alone = wb.AffineMap(made.left, made.right, wb.SteeringVector(made.vector.values, 1))
    read_at_three = run(tiny, wb.Affine(first_alone))[resid_pre(3)]
    close(steered[resid_pre(3)], by_formula(read_at_three, made))


def test_rows_with_their_own_maps_and_scales_equal_the_same_rows_alone(any_model):
    first, second = make(rank=1, seed=1), make(layers=3, rank=3, seed=2, vector=False)
    together = run(any_model, wb.Affine([first, second], scale=[0.5, 2.0]))
    for row, (made, scale) in enumerate(((first, 0.5), (second, 2.0))):
        alone = run(any_model, wb.Affine(made, scale=scale), tokens=TOKENS[row : row + 1])
        for layer in range(4):
            got = together[resid_pre(layer)][row : row + 1]
            torch.testing.assert_close(got, alone[resid_pre(layer)], rtol=1e-4, atol=1e-4)


def test_a_row_without_a_map_is_left_alone(tiny):
    made = make()
    clean = run(tiny)
    half = run(tiny, wb.Affine([made, None]))
    assert torch.equal(half[AT][1], clean[AT][1])
    close(half[AT][0], by_formula(clean[AT][0], made))
    close(half[AT], run(tiny, wb.Affine(made, scale=[1.0, 0.0]))[AT])
    assert torch.equal(run(tiny, wb.Affine([None, None]))[AT], clean[AT])
    swapped = wb.Affine([made, None]).taking([1, 0])
    assert swapped.map == (None, made)


def test_a_bfloat16_stream_is_rounded_once(tokenizers):
    model = wrap(tiny_hf("llama").bfloat16(), tokenizers[True], name="tiny-llama")
    made = make()
    clean, steered = run(model)[AT], run(model, wb.Affine(made))[AT]
    x = clean.float()
    expected = x + x @ made.right.T @ made.left + made.vector.values
    assert steered.dtype == torch.bfloat16
    assert torch.equal(steered, expected.bfloat16())


def test_only_the_positions_asked_for_are_edited(tiny):
    made = make()
    clean = run(tiny)[AT]
    mask = torch.tensor([[True] + [False] * 5, [False, True] * 3])
    cases = {
        wb.Positions.last(2): torch.tensor([[False] * 4 + [True] * 2] * 2),
        wb.Positions.at_tokens([30, 21]): torch.tensor([[0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]),
        mask: mask,
    }
    for positions, where in cases.items():
        steered = run(tiny, wb.Affine(made, positions=positions))[AT]
        where = where.bool()
        assert torch.equal(steered[~where], clean[~where])
        close(steered[where], by_formula(clean, made)[where])


def test_generation_equals_a_hand_written_pre_hook(any_model):
    """Greedy decoding by whole passes of the Hugging Face model, never wrapped."""
    facts = facts_of(any_model)
    remember(any_model, LoadFacts(facts.name, facts.revision, facts.adds_bos, ()))
    made = make()
    matrix = made.left.T @ made.right

    def pre_hook(module, args, kwargs):
        x = args[0] if args else kwargs["hidden_states"]
        edited = x + 0.5 * (x @ matrix.T + made.vector.values)
        return (
            ((edited, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": edited})
        )

    hf = tiny_hf(any_model.kind)
    prompts = ["w1 w2 w3 w4 w5", "w8 w9"]
    plain = wb.generate(any_model, prompts, max_new_tokens=6, progress=False, details=True)
    steered = wb.generate(
        any_model, prompts, wb.Affine(made, 0.5), max_new_tokens=6, progress=False, details=True
    )
    hf_block(hf, 2).register_forward_pre_hook(pre_hook, with_kwargs=True)
    for prompt, generation in zip(prompts, steered, strict=True):
        ids = prompt_ids(any_model, prompt)
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(hf(torch.tensor([ids])).logits[0, -1].argmax()))
        assert generation.tokens.tolist() == ids[-6:]
    assert any(a.tokens.tolist() != b.tokens.tolist() for a, b in zip(plain, steered, strict=True))


def test_scoring_and_generation_take_a_map_for_each_row(tiny):
    rows = [make(seed=1), None]
    prompts, completions = ["w1 w2 w3", "w4"], [" w5 w6", " w7"]
    scored = wb.log_prob(tiny, prompts, completions, wb.Affine(rows), batch_size=1)
    whole = wb.log_prob(tiny, prompts, completions, wb.Affine(rows[0]))
    clean = wb.log_prob(tiny, prompts, completions)
    torch.testing.assert_close(scored.total[0], whole.total[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(scored.total[1], clean.total[1], rtol=0, atol=1e-4)
    assert abs(float(whole.total[0] - clean.total[0])) > 1e-3


# ---- What one is ----


def test_its_values_are_its_own_and_its_layers_may_be_left_to_the_vector():
    left, right = (f.double().requires_grad_(True) for f in factors())
    made = wb.AffineMap(left, right, wb.SteeringVector(torch.ones(32), (3, 1)), label="a")
    with torch.no_grad():
        left += 1
    assert torch.equal(made.left, factors()[0])
    assert made.left.dtype == torch.float32
    assert not made.left.requires_grad
    assert (made.layers, made.rank, made.d_model, made.label) == ((3, 1), 2, 32, "a")
    assert wb.AffineMap(left, right, layers=3).layers == (3,)
    assert made.labelled("b").label == "b"
    assert torch.equal(made.labelled("b").right, made.right)
    assert "rank=2" in repr(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": torch.ones(3, 4)}, "d_model|one shape"),
        ({"left": torch.ones(4), "right": torch.ones(4)}, "d_model"),
        ({"left": torch.ones(0, 4), "right": torch.ones(0, 4)}, "of one shape"),
        ({"right": torch.tensor([[1, 2, 3, float("nan")]] * 2)}, r"right factor.*index \(0, 3\)"),
        ({"left": torch.full((2, 4), float("inf"))}, "left factor has NaN or infinite"),
        ({"vector": wb.SteeringVector(torch.ones(5), 1)}, "4 wide, the vector is 5 wide"),
        ({"vector": wb.SteeringVector(torch.ones(4), 2)}, "its vector on"),
        ({"layers": (1, 1)}, "distinct"),
        ({"layers": -1}, "layer must be"),
        ({"layers": None, "vector": None}, "needs layers"),
    ],
)
def test_bad_maps_say_so(change, message):
    good = {"left": torch.ones(2, 4), "right": torch.ones(2, 4), "layers": 1}
    wb.AffineMap(**good, vector=wb.SteeringVector(torch.ones(4), 1))
    with pytest.raises((ValueError, TypeError), match=message):
        wb.AffineMap(**{**good, **change})


def test_it_refuses_another_model_unless_it_is_rebound(tiny, tokenizers):
    other = boot("qwen3", tokenizers)
    made = make(provenance=Provenance.of("test", tiny, seed=1))
    run(tiny, wb.Affine(made))
    cases = [
        (other, made, r"made on a model with name.*use map\.rebind"),
        (tiny, make(width=31), "map is 31 wide, but the model's residual stream is 32"),
        (tiny, make(layers=4), "map acts on layer 4"),
        (other, wb.AffineMap(made.left, made.right, made.vector), "vector was made on a model"),
    ]
    for model, wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            run(model, wb.Affine(wrong))
    with pytest.raises(TypeError, match=r"use .* Affine\(map\)"):
        run(tiny, [made])
    bound = made.rebind(other)
    run(other, wb.Affine(bound))
    assert bound.provenance.config["made_on"] == bound.vector.provenance.config["made_on"]
    with pytest.raises(ValueError, match="finite number"):
        run(tiny, wb.Affine(made, scale=float("inf")))
    with pytest.raises(ValueError, match="made for 3 rows"):
        run(tiny, wb.Affine([made] * 3))


# ---- Files ----


@pytest.mark.parametrize("vector", [True, False])
def test_a_file_gives_back_the_same_map(tmp_path, tiny, vector):
    provenance = Provenance.of("test", tiny, seed=3, config={"rank": 2})
    made = make(layers=(1, 3), provenance=provenance, vector=vector).labelled("a label")
    path = made.save(tmp_path / "deep" / "map.safetensors")
    loaded = wb.AffineMap.load(path)
    assert torch.equal(loaded.left, made.left)
    assert torch.equal(loaded.right, made.right)
    assert (loaded.layers, loaded.label) == ((1, 3), "a label")
    assert loaded.provenance == provenance
    if vector:
        assert torch.equal(loaded.vector.values, made.vector.values)
        assert loaded.vector.provenance == provenance
        assert loaded.vector.layers == (1, 3)
    else:
        assert loaded.vector is None
    assert torch.equal(run(tiny, wb.Affine(loaded))[AT], run(tiny, wb.Affine(made))[AT])
    assert [p.name for p in path.parent.iterdir()] == ["map.safetensors"], "no leftovers"


def test_saving_fails_whole(tmp_path, monkeypatch):
    path = make().save(tmp_path / "map.safetensors")
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.steering.artifact.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        make(seed=1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_files_are_refused_in_words(tmp_path, tiny):
    made = make()
    path = made.save(tmp_path / "map.safetensors")
    whole = path.read_bytes()
    for cut in (0, 4, 20, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="cut short"):
            wb.AffineMap.load(path)
    tensors, record = made.to_parts()
    narrow = {name: tensor[..., :31] for name, tensor in tensors.items()}
    on_tiny = Provenance.of("x", tiny).to_json()
    cases = [
        (tensors, {"schema": "steering-workbench/affine-map/9"}, "no affine map file.*map/9"),
        (tensors, {"layers": "two"}, "damaged affine map"),
        (tensors, {"vector": "{}"}, "damaged affine map: it has no 'layers'"),
        (tensors, {"vector": "[]"}, "damaged affine map"),
        ({"left": tensors["left"]}, {}, "damaged affine map: it has no"),
        ({**tensors, "right": tensors["right"][:1]}, {}, "damaged affine map|right"),
        ({**tensors, "left": tensors["left"] * float("nan")}, {}, "left factor has NaN"),
        (narrow, {"provenance": on_tiny}, "2x31 values, its model is 32 wide"),
    ]
    for saved, changed, message in cases:
        held = {name: tensor.contiguous() for name, tensor in saved.items()}
        save_file(held, path, metadata={"schema": SCHEMA, **record, **changed})
        with pytest.raises((ValueError, TypeError), match=message):
            wb.AffineMap.load(path)
    wb.SteeringVector(torch.ones(3), 1).save(path)
    with pytest.raises(ValueError, match=r"no affine map file of schema.*vector/1"):
        wb.AffineMap.load(path)
    with pytest.raises(FileNotFoundError, match="no affine map file at"):
        wb.AffineMap.load(tmp_path / "absent.safetensors")
