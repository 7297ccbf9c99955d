"""What a panel holds becomes interventions, files and code."""

import math

import pytest
import torch

import workbench as wb
from workbench.explorer.state import State


def vector(layer=1, label="v", width=32):
    return wb.SteeringVector(torch.ones(width), layer, label=label)


@pytest.fixture
def state(tiny):
    made = State(tiny, prompt="w1 w2")
    made.add(vector())
    made.add(vector(2, "v"))
    return made


def test_vectors_that_are_on_act_as_chosen(state):
    assert [entry.vector.label for entry in state.entries] == ["v", "v (2)"]
    state.entries[1].on = False
    state.entries[0].scale = 2.5
    (one,) = state.steering()
    assert isinstance(one, wb.Add)
    assert (one.scale, one.vector.layer, str(one.positions)) == (2.5, 1, "all")
    state.kind, state.positions, state.layer = "clamp", "last prompt token", 3
    (one,) = state.steering()
    assert isinstance(one, wb.Clamp)
    assert (one.value, one.vector.layer, str(one.positions)) == (2.5, 3, "last(1)")
    state.kind = "ablate"
    assert isinstance(state.steering()[0], wb.Ablate)


def test_the_prompt_is_asked_in_chat_format_or_raw(state):
    assert state.text() == wb.chat(state.model, "w1 w2")
    state.chat = False
    assert state.text() == "w1 w2"
    state.prompt = "  "
    with pytest.raises(ValueError, match="prompt is empty"):
        state.text()


def test_what_does_not_fit_is_refused(state):
    with pytest.raises(ValueError, match="16 wide"):
        state.add(vector(width=16))
    state.entries[0].scale = math.nan
    with pytest.raises(ValueError, match="finite"):
        state.steering()


def test_saved_and_loaded(state, tmp_path):
    state.save(tmp_path / "set")
    other = State(state.model)
    other.load(wb.VectorSet.load(tmp_path / "set"))
    assert [v.label for v in other.vectors] == ["v", "v (2)"]
    with pytest.raises(ValueError, match="no vectors to save"):
        State(state.model).save(tmp_path / "none")


def test_the_code_does_what_the_panel_does(state, tmp_path, monkeypatch, capsys):
    state.save(tmp_path / "set")
    state.entries[0].scale, state.tokens, state.layer = 3.0, 4, 2
    code = state.code()
    monkeypatch.setattr(wb, "load_model", lambda name: state.model, raising=False)
    exec(compile(code, "panel", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    prompt = state.text()
    expected = [
        wb.generate(state.model, [prompt], how, max_new_tokens=4, progress=False)[0]
        for how in ([], state.steering())
    ]
    assert printed == [line for text in expected for line in text.splitlines() or [""]]
    assert "dtype" not in code
    monkeypatch.setattr("workbench.explorer.state.dtype_of", lambda model: torch.bfloat16)
    assert "dtype='bfloat16')" in state.code()
    state.add(vector(1, "new"))
    assert "Save the panel's vectors" in state.code()
