"""Vectors pushed to a hub on this machine come back over HTTP; what cannot be is said in words."""

import hashlib
import os
import pickle

import huggingface_hub
import pytest
import torch

import workbench as wb
from tests.steering.fake_hub import TOKEN, FakeHub, serving
from workbench.steering import Provenance
from workbench.steering.card import card_of
from workbench.steering.formats import write_vectors
from workbench.steering.hub import from_hub, push_to_hub

REPO = "me/refusal"


def send_to(address, monkeypatch):
    """Send the library to this address, and let it not wait before it asks again."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A fake hub that the library is sent to, with an empty cache of its own."""
    made = FakeHub()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(made) as address:
        send_to(address, monkeypatch)
        yield made


def vector(layer=3, seed=0, label="sorry", width=16, **provenance):
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(values, layer, Provenance("test", seed=seed, **provenance), label)


def hashed(vectors):
    return [hashlib.sha256(each.values.numpy().tobytes()).hexdigest() for each in vectors]


def card(hub):
    return hub.repos[REPO]["README.md"].decode()


def test_a_vector_comes_back_with_everything(hub):
    sent = vector(config={"steps": 3}, results={"loss": 0.25, "losses": [1.0, 0.25]})
    address = push_to_hub(sent, REPO, token=TOKEN)
    assert address.startswith(f"https://huggingface.co/{REPO}/commit/")
    (found,) = from_hub(REPO)
    assert torch.equal(found.values, sent.values)
    assert (found.layer, found.label, found.provenance) == (3, "sorry", sent.provenance)
    assert set(hub.repos[REPO]) == {
        ".gitattributes",
        "README.md",
        "vectors/000_sorry.safetensors",
    }
    assert not any(name.endswith((".pt", ".bin", ".pkl")) for name in hub.repos[REPO])


def test_a_set_keeps_its_order_and_is_replaced_whole(hub):
    sent = [vector(seed=i, label=f"v{9 - i}") for i in range(3)]
    push_to_hub(wb.VectorSet(sent), REPO, token=TOKEN)
    assert hashed(from_hub(REPO)) == hashed(sent)
    push_to_hub(sent[:1], REPO, token=TOKEN)
    assert hashed(from_hub(REPO)) == hashed(sent[:1]), "none of the old ones is left"
    assert hub.pushes == 2


def test_one_file_of_any_format(hub, tmp_path):
    path = write_vectors([vector(4, 1), vector(5, 2)], tmp_path / "x.gguf")
    hub.repos[REPO] = {"deep/happy.gguf": path.read_bytes()}
    found = from_hub(REPO, "deep/happy.gguf")
    assert hashed(found) == hashed([vector(4, 1), vector(5, 2)])
    assert [each.layer for each in found] == [4, 5]


def test_what_was_fetched_serves_without_the_hub(hub, monkeypatch):
    push_to_hub(vector(seed=1), REPO, token=TOKEN)
    first = from_hub(REPO)
    send_to("http://127.0.0.1:1", monkeypatch)
    assert hashed(from_hub(REPO)) == hashed(first)


def test_the_card_goes_with_them(hub):
    push_to_hub(vector(), REPO, token=TOKEN, license="mit")
    assert card(hub) == card_of(wb.VectorSet([vector()]), REPO, "mit")


def test_a_card_of_ones_own_is_pushed_as_it_is(hub):
    push_to_hub(vector(), REPO, token=TOKEN, card="# Mine\n")
    assert card(hub) == "# Mine\n"


def test_a_repo_that_holds_a_model_is_left_alone(hub):
    before = {"config.json": b"{}", "model.safetensors": b"x", "README.md": b"model"}
    hub.repos[REPO] = dict(before)
    with pytest.raises(ValueError, match=r"holds config\.json, model\.safetensors: it is no repo"):
        push_to_hub(vector(), REPO, token=TOKEN)
    assert hub.repos[REPO] == before
    assert hub.pushes == 0


def test_what_is_missing_or_forbidden_is_said(hub, monkeypatch):
    with pytest.raises(PermissionError, match=r"may not write to me/refusal: log in"):
        push_to_hub(vector(), REPO)
    with pytest.raises(FileNotFoundError, match=r"no repo me/refusal on the hub, or it is private"):
        from_hub(REPO)
    push_to_hub(vector(), REPO, token=TOKEN, private=True)
    with pytest.raises(FileNotFoundError, match="or it is private"):
        from_hub(REPO)
    assert hashed(from_hub(REPO, token=TOKEN)) == hashed([vector()])
    with pytest.raises(FileNotFoundError, match="has no such file"):
        from_hub(REPO, "absent.gguf", token=TOKEN)
    with pytest.raises(FileNotFoundError, match="has no such revision"):
        from_hub(REPO, revision="v9", token=TOKEN)
    with pytest.raises(ValueError, match=r"(?i)repo id"):
        from_hub("a/b/c")
    hub.repos["me/other"] = {"README.md": b"", "weights.bin": b"0"}
    with pytest.raises(FileNotFoundError, match=r"no vectors/\*\.safetensors: nobody has pushed"):
        from_hub("me/other")
    send_to("http://127.0.0.1:1", monkeypatch)
    for ask in (lambda: from_hub("me/unknown"), lambda: push_to_hub(vector(), REPO, token=TOKEN)):
        with pytest.raises(ConnectionError, match="hub could not be asked"):
            ask()


class Hostile:
    """What a pickle may do when it is read."""

    def __reduce__(self):
        return os.mkdir, (str(Hostile.target),)


def test_what_is_fetched_is_never_executed(hub, tmp_path):
    Hostile.target = tmp_path / "executed"
    torch.save({1: Hostile()}, tmp_path / "x.pt")
    for name, content in (
        ("x.pt", (tmp_path / "x.pt").read_bytes()),
        ("x.layers.pt", pickle.dumps(Hostile())),
        ("vectors/000_x.safetensors", pickle.dumps(Hostile())),
    ):
        hub.repos[REPO] = {name: content}
        with pytest.raises(ValueError, match=r"could not be read|not a safetensors file"):
            from_hub(REPO, name)
    with pytest.raises(ValueError, match="not a safetensors file"):
        from_hub(REPO)
    assert not Hostile.target.exists()
