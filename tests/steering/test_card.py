"""The card says what a vector is and how it is used, and nothing in it is markup of others."""

from dataclasses import replace

import pytest
import torch
import yaml

import workbench as wb
from workbench.steering import Provenance
from workbench.steering.card import card_of

REPO = "me/refusal"


def vector(label="sorry", layer=3, **provenance):
    return wb.SteeringVector(torch.ones(16), layer, Provenance("test", **provenance), label)


def card(*vectors, license=None):
    return card_of(wb.VectorSet(vectors), REPO, license)


def header(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_it_says_what_was_made_and_how_it_is_used(tiny):
    example = wb.Example("w1 w2", promote=[" w3"])
    run = wb.optimize(tiny, [example], layer=1, steps=2, learning_rate=0.1, progress=False)
    text = card(run.vector.labelled("say w3"), license="mit")
    told = header(text)
    assert (told["library_name"], told["license"]) == ("steering-workbench", "mit")
    assert "base_model" not in told, "tiny-llama is no id of the hub"
    assert "of 32 numbers, made on `tiny-llama` (float32)" in text
    assert f"| say w3 | 1 | {run.vector.norm:.3f} | one-shot | all |" in text
    assert '"learning_rate": 0.1' in text, "settings stand as they are"
    assert '" w3"' in text
    assert f"loss: {run.loss}" in text
    assert "reading them runs no code" in text


def test_its_lines_of_code_run(tiny, monkeypatch, capsys):
    """They are run here, with the model and the repo that they name."""
    example = wb.Example("w1 w2", promote=[" w3"])
    run = wb.optimize(tiny, [example], layer=1, steps=1, learning_rate=0.1, progress=False)
    code = card(run.vector).split("```python\n")[1].split("\n```")[0]
    assert len([line for line in code.splitlines() if line]) == 4
    asked = []
    monkeypatch.setattr(wb, "load_model", lambda name: asked.append(name) or tiny)
    monkeypatch.setattr(wb, "from_hub", lambda repo: asked.append(repo) or [run.vector])
    exec(code, {})
    assert asked == ["tiny-llama", REPO]
    assert capsys.readouterr().out.startswith("[")


def test_a_clamp_is_used_as_a_clamp_and_a_base_model_has_no_chat(tiny):
    made_on = replace(Provenance.of("x", tiny).model, chat_template_hash=None, d_model=16)
    text = card(vector(config={"intervention": "clamp"}, model=made_on))
    assert "wb.Clamp(vector)" in text
    assert "wb.chat" not in text
    assert "wb.Add(vector)" in card(vector())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smollm2-135m-instruct", ["HuggingFaceTB/SmolLM2-135M-Instruct"]),
        ("google/gemma-2-2b-it", ["google/gemma-2-2b-it"]),
        ("/home/someone/secret-model", None),
        ("C:/models/mine", None),
    ],
)
def test_the_base_model_is_named_where_the_hub_has_it(tiny, name, expected):
    made_on = replace(Provenance.of("x", tiny).model, name=name, d_model=16)
    assert header(card(vector(model=made_on))).get("base_model") == expected


def test_nothing_in_it_is_markup_of_others():
    hostile = "![x](http://a/b.png) <script>alert(1)</script> | ``` \n# Title"
    given = vector(
        label=hostile,
        examples=({"prompt": hostile},),
        config={"a": "````\n# Title"},
        results={hostile: hostile},
    )
    text = card(given)
    assert text.count("`````json\n") == 1, "a fence is longer than what stands in it"
    inside, outside = False, []
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            outside.append(line)
    assert not inside
    told = "\n".join(outside)
    for markup in ("<script>", "![x]", "\n# Title", "](http"):
        assert markup not in told
    assert told.count("\n| ") == 3, "one row, its titles and the line between"


def test_a_set_has_a_row_for_each():
    text = card(vector("a"), vector("b", (4, 5)))
    assert "2 steering vectors" in text
    assert "| b | 4, 5 | 4.000 | test | all |  |" in text
    assert "Where the first comes from" in text
