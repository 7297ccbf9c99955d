"""What was made can be saved, loaded and applied: the same bits, the same places, or a refusal."""

import json

import pytest
import torch
from safetensors.torch import save_file

import workbench as wb
from workbench.steering import Provenance
from workbench.steering.artifact import read_tensors
from workbench.steering.storage import SCHEMA

pytestmark = pytest.mark.tl3

TOKENS = torch.tensor([[1, 20, 30, 40, 50, 60], [1, 21, 31, 41, 51, 61]])
P = wb.Positions
MASK = torch.tensor([[True, False, True], [False, False, True]])
POSITIONS = {
    "all": P.all(),
    "prompt": P.prompt(),
    "completion": P.completion(),
    "last": P.last(3),
    "span": P.span(1, -1),
    "open span": P.span(None, 4),
    "tokens": P.at_tokens([30, "w44", 51]),
    "mask": P.mask(MASK),
    "mask of one row": P.mask(MASK[0]),
    "empty mask": P.mask(MASK[0, :0]),
    "either": P.last(2) | P.at_tokens("w13") | P.mask(MASK),
}


def vector(layer=1, seed=0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    provenance = Provenance("test", seed=seed, config={"a": [1, 2]})
    return wb.SteeringVector(values, layer, provenance, f"<v{seed}>")


def affine_map(seed=0, with_vector=True):
    left, right = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(seed)) / 4
    return wb.AffineMap(left, right, vector(2, seed) if with_vector else None, 2, label="m")


V, W = vector((1, 3), 1), vector(2, 2)
GATE = wb.Condition(vector(1, 3), -100.0, positions=P.prompt())
INTERVENTIONS = {
    "add": wb.Add(V, scale=0.1),
    "add by row": wb.Add([V, None], scale=[2, -0.3], positions=P.last(2)),
    "scale by row": wb.Add(W, scale=(1.5, 1)),
    "clamp": wb.Clamp(W, value=1 / 3, positions=P.span(1, 4)),
    "ablate": wb.Ablate(V),
    "ablate at layers": wb.Ablate(V, layers=range(1, 3), positions=MASK.repeat(1, 2)),
    "ablate at one layer": wb.Ablate(V, layers=2),
    "affine": wb.Affine(affine_map(), scale=0.7, positions=P.at_tokens([30, 41])),
    "affine by row": wb.Affine([affine_map(1, with_vector=False), affine_map(2)], scale=[1, 2.5]),
    "gated": wb.When(GATE, wb.Add(W, scale=2.0)),
    "gates within gates": wb.When(
        wb.Condition(vector(0, 4), 0.1, measure="cosine", above=False, positions=P.last(2)),
        [wb.When(GATE, wb.Clamp(W)), wb.Add(W, positions=P.last())],
    ),
}


def logits(model, steering):
    with torch.no_grad(), wb.steer(model, steering):
        return model(TOKENS)


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_what_is_loaded_does_the_same_to_the_bit(tiny, tmp_path, name):
    path = wb.save_interventions(tmp_path / "deep" / "x.safetensors", INTERVENTIONS[name])
    (loaded,) = wb.load_interventions(path)
    assert type(loaded) is type(INTERVENTIONS[name])
    expected = logits(tiny, INTERVENTIONS[name])
    assert torch.equal(logits(tiny, loaded), expected)
    assert not torch.equal(expected, logits(tiny, ()))
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"], "no leftovers"


def test_a_list_comes_back_in_order_with_every_field(tmp_path):
    given = list(INTERVENTIONS.values())
    path = wb.save_interventions(tmp_path / "x", given)
    loaded = wb.load_interventions(path)
    assert [type(one) for one in loaded] == [type(one) for one in given]
    add, by_row, scales, clamp, ablate, at_layers, at_one, affine, maps = loaded[:9]
    assert torch.equal(add.vector.values, V.values)
    assert (add.vector.layer, add.vector.label) == ((1, 3), "<v1>")
    assert add.vector.provenance == V.provenance
    assert (add.scale, by_row.scale, scales.scale, clamp.value) == (0.1, (2, -0.3), (1.5, 1), 1 / 3)
    assert by_row.vector == (add.vector, None), "a vector that several share is kept once"
    assert (ablate.layers, at_layers.layers, at_one.layers) == (None, (1, 2), 2)
    assert torch.equal(at_layers.positions.own, MASK.repeat(1, 2))
    assert (affine.scale, affine.map.label, affine.map.layers) == (0.7, "m", (2,))
    assert torch.equal(affine.map.vector.values, affine_map().vector.values)
    assert maps.map[0].vector is None
    assert str(by_row.positions) == "last(2)"
    assert wb.load_interventions(wb.save_interventions(path, [])) == []
    nested = wb.load_interventions(wb.save_interventions(path, [given[:2], given[2]]))
    assert len(nested) == 3


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_come_back(tmp_path, name):
    positions = POSITIONS[name]
    path = wb.save_interventions(tmp_path / "x", wb.Add(V, positions=positions))
    (loaded,) = wb.load_interventions(path)
    assert loaded.positions.to_dict() == positions.to_dict()
    assert str(loaded.positions) == str(positions)
    assert loaded.positions.chosen == positions.chosen
    if positions.own is not None:
        assert torch.equal(loaded.positions.own, positions.own)


def test_what_was_trained_is_generated_with(tiny, tmp_path):
    given = [wb.Affine(affine_map(), positions=P.last(2) | P.completion()), wb.Clamp(W, value=2.0)]
    loaded = wb.load_interventions(wb.save_interventions(tmp_path / "x", given))
    settings = {"max_new_tokens": 5, "progress": False}
    prompts = ["w1 w2 w3", "w4"]
    expected = wb.generate(tiny, prompts, given, **settings)
    assert wb.generate(tiny, prompts, loaded, **settings) == expected


def test_functions_and_bad_strengths_are_not_saved(tmp_path):
    path = wb.save_interventions(tmp_path / "x", wb.Add(V))
    before = path.read_bytes()

    class Louder(wb.Add):
        pass

    for one in (wb.Custom(lambda x, hook: x), lambda x, hook: x, [wb.Add(V), Louder(V)]):
        with pytest.raises(TypeError, match=r"cannot be saved.*Add, Clamp, Ablate, Affine"):
            wb.save_interventions(path, one)
    with pytest.raises(TypeError, match="use Add"):
        wb.save_interventions(path, [V])
    with pytest.raises(ValueError, match="finite number"):
        wb.save_interventions(path, wb.Add(V, scale=float("nan")))
    with pytest.raises(TypeError, match=r"must be a number|Type-check"):
        wb.save_interventions(path, wb.Add(V, scale=["1"]))
    assert path.read_bytes() == before


def test_saving_fails_whole(tmp_path, monkeypatch):
    path = wb.save_interventions(tmp_path / "x", wb.Add(V))
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.steering.artifact.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        wb.save_interventions(path, wb.Add(W))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_and_newer_files_are_refused_in_words(tmp_path):
    path = wb.save_interventions(tmp_path / "x", [wb.Add(V, positions=P.last(2)), wb.Ablate(W)])
    whole = path.read_bytes()
    for cut in (0, 4, 20, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="cut short"):
            wb.load_interventions(path)
    path.write_bytes(whole)
    tensors, record = read_tensors(path, SCHEMA, "intervention")
    made, acts = json.loads(record["artifacts"]), json.loads(record["interventions"])

    def refused(message, tensors=tensors, made=made, acts=acts, **changes):
        about = {"artifacts": json.dumps(made), "interventions": json.dumps(acts)}
        save_file(tensors, path, metadata={"schema": SCHEMA, **about, **changes})
        with pytest.raises(ValueError, match=message):
            wb.load_interventions(path)

    newer = "steering-workbench/interventions/2"
    refused(f"no intervention file of schema .*{newer}", schema=newer)
    refused("'gated'.* does not know: it knows add, clamp", acts=[{**acts[0], "kind": "gated"}])
    refused("'field'.* does not know: it knows vector, map", made=[{**made[0], "kind": "field"}])
    damaged = "damaged list of interventions"
    refused(damaged, interventions="[")
    refused(damaged, interventions="7")
    refused(damaged, acts=[{"vector": 0}])
    refused(damaged, acts=[[]])
    refused(damaged, tensors={"0.values": tensors["0.values"]})
    refused(damaged + ".*NaN", tensors={**tensors, "1.values": torch.full((32,), float("nan"))})
    places = {"kind": "sideways"}, {"kind": "last"}, {"kind": "last", "start": "2"}, "all", {}
    for positions in (*places, {"kind": "span", "start": 0.5}, {"kind": "either"}):
        refused(damaged, acts=[{**acts[0], "positions": positions}])
    for place in (2, -1, "0", None, {}, [0, 9]):
        refused(damaged, acts=[{**acts[0], "vector": place}])
    for scale in ("1", None, [1, None], {}, float("inf")):
        refused(damaged, acts=[{**acts[0], "scale": scale}])
    refused(damaged, acts=[{**acts[1], "layers": [0.5]}])
    refused(damaged, acts=[{**acts[0], "extra": 1}])
    refused(damaged, acts=[{k: v for k, v in acts[0].items() if k != "scale"}])
    refused(damaged, acts=[{**acts[0], "kind": "affine"}])
    wb.SteeringVector(torch.ones(3), 1).save(path)
    with pytest.raises(ValueError, match=r"no intervention file of schema.*vector/1"):
        wb.load_interventions(path)
    with pytest.raises(FileNotFoundError, match="no intervention file at"):
        wb.load_interventions(tmp_path / "absent")


def test_a_gate_comes_back_whole_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "gated.safetensors"
    wb.save_interventions(path, wb.When(GATE, [wb.Add(W), wb.Ablate(W)]))
    (gate,) = wb.load_interventions(path)
    assert (gate.condition.threshold, gate.condition.above) == (-100.0, True)
    assert gate.condition.positions.to_dict() == GATE.positions.to_dict()
    assert torch.equal(gate.condition.vector.values, GATE.vector.values)
    assert [type(one) for one in gate.intervention] == [wb.Add, wb.Ablate]

    tensors, record = read_tensors(path, SCHEMA, "intervention")
    (act,) = json.loads(record["interventions"])

    def changed(**fields):
        acts = json.dumps([{**act, **fields}])
        save_file(tensors, path, metadata={"schema": SCHEMA, **record, "interventions": acts})

    for condition in ({"vector": 9}, {"above": "yes"}, {"threshold": float("nan")}, {"x": 1}):
        changed(condition={**act["condition"], **condition})
        with pytest.raises(ValueError, match="damaged"):
            wb.load_interventions(path)
    changed(interventions=[{"kind": "code"}])
    with pytest.raises(ValueError, match=r"\['code'\], which this version does not know"):
        wb.load_interventions(path)
