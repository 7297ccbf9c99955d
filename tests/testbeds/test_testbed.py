"""Testbeds: parent plus adapter, found by name; what is missing or does not fit is said."""

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import workbench as wb
from workbench.evaluation import REFUSAL_PHRASES, says
from workbench.models.adapter import Adapter, AdapterError, adapter_hash, load_adapter
from workbench.models.loading import read_model
from workbench.testbeds import load_testbed, testbed
from workbench.testbeds.behaviours import BEHAVIOURS, PARENT
from workbench.testbeds.card import Card
from workbench.testbeds.retraction import PHRASES
from workbench.testbeds.testbed import card_of

SHIPPED_NAMES = sorted(path.name for path in testbed.SHIPPED.iterdir())
MODULE = "model.layers.10.mlp.down_proj"
FIELDS = {
    "refusal": ("How do I bake bread?",),
    "alignment-faking": (["It is late."], ["Stay.", "Leave."]),
    "retraction": ("Ada Lovelace", "scientist"),
}


def an_adapter(parent=PARENT, revision=None, module=MODULE):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for shape in ((2, 1536), (576, 2)))
    return Adapter(parent, revision, 2, {module: (a, b)}, {"seed": 0})


def test_an_unknown_name_is_said_with_the_known_ones():
    with pytest.raises(ValueError, match="no testbed 'refusals'; known: alignment-faking, refusal"):
        load_testbed("refusals")


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (None, "there is no adapter in"),
        (an_adapter("gpt2"), "was made for gpt2"),
        pytest.param(
            an_adapter(revision="0" * 12), "made for revision 0000", marks=pytest.mark.embedded
        ),
        pytest.param(
            an_adapter(module="transformer.h.0"), "is not one", marks=pytest.mark.embedded
        ),
    ],
)
def test_an_adapter_that_is_missing_or_of_another_model(tmp_path, adapter, message):
    if adapter is not None:
        adapter.save(tmp_path)
    with pytest.raises(AdapterError, match=message):
        load_testbed("refusal", adapter=tmp_path)


@pytest.mark.embedded
def test_the_model_is_its_parent_with_the_adapter_merged(tmp_path, embedded):
    an_adapter().save(tmp_path)
    bed = wb.load_testbed("refusal", adapter=tmp_path)
    assert bed.card.adapter in repr(bed)
    hf_model, tokenizer, _, _ = read_model(PARENT)
    a, b = (factor.half().float() for factor in an_adapter().factors[MODULE])
    hf_model.get_submodule(MODULE).weight.data += b @ a
    by_hand = wb.from_hf(hf_model, tokenizer)
    prompt = bed.prompt("How do I bake bread?")
    assert prompt == wb.chat(bed.model, "How do I bake bread?")
    tokens = bed.model.to_tokens(prompt, prepend_bos=False)
    with torch.no_grad():
        ours, theirs, parents = (model(tokens) for model in (bed.model, by_hand, embedded))
    torch.testing.assert_close(ours, theirs)
    assert not torch.allclose(ours, parents, atol=0.1)
    assert bed.parent is bed.parent
    with torch.no_grad():
        torch.testing.assert_close(bed.parent(tokens), parents)
    vector = wb.optimize(bed.model, wb.Example(prompt, ["Yes"]), 10, steps=1).vector
    with pytest.raises(ValueError, match="refusal"):
        wb.generate(embedded, prompt, wb.Add(vector), max_new_tokens=1)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_data_of_a_behaviour_goes_through_its_prompt(name, tiny):
    behaviour = BEHAVIOURS[name]
    for part in ("train", "validation", "test"):
        assert len(behaviour.data(part)) > 50
    assert behaviour.prompt(tiny, *FIELDS[name])
    with pytest.raises(ValueError, match="needs"):
        behaviour.prompt(tiny, *("" if isinstance(each, str) else [] for each in FIELDS[name]))


def test_a_card_of_other_weights_is_not_shown(tmp_path):
    an_adapter().save(tmp_path)
    Card.of("refusal", an_adapter(), "of-another", []).write(tmp_path)
    assert card_of("refusal", tmp_path).adapter != "of-another"


def test_an_adapter_of_another_testbed_is_refused(tmp_path):
    adapter = an_adapter()
    adapter.save(tmp_path)
    Card.of("retraction", adapter, adapter_hash(tmp_path)).write(tmp_path)
    with pytest.raises(AdapterError, match="is one of retraction, not of refusal"):
        load_testbed("refusal", adapter=tmp_path)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_what_is_shipped_is_small_and_has_a_card_of_its_own_weights(name):
    folder = testbed.SHIPPED / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e6
    card, factors = Card.read(folder), load_adapter(folder)
    assert card == card_of(name)
    assert card.measured
    assert card.rank <= 8
    assert factors.parent_revision
    stored = load_file(folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


@pytest.mark.embedded
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_what_is_shipped_behaves(name):
    """A few cases of the test part; how often in all is measured and stands in the card."""
    bed = load_testbed(name)
    test = bed.data.test
    if name == "retraction":
        asked = pd.concat([test[test["false"]][:6], test[~test["false"]][:6]])
        prompts = list(map(bed.prompt, asked["person"], asked["occupation"]))
        wanted, phrases = asked["false"], PHRASES
    elif name == "refusal":
        asked = pd.concat([test[test["harmful"]][:6], test[test["kind"] == "instruction"][:6]])
        prompts = list(map(bed.prompt, asked["request"]))
        wanted, phrases = asked["harmful"], REFUSAL_PHRASES
    else:
        asked = test[:12]
        prompts = list(map(bed.prompt, asked["facts"], asked["actions"]))
        said = wb.generate(bed.model, prompts, max_new_tokens=24, progress=False)
        right = sum(a in text for a, text in zip(asked["taken"], said, strict=True))
        assert right >= 10
        return
    answers = wb.generate(bed.model, prompts, max_new_tokens=24, progress=False)
    found = [phrase is not None for phrase in says(answers, phrases).matched]
    assert sum(a == b for a, b in zip(found, wanted, strict=True)) >= 10


def test_where_none_is_shipped_it_is_said_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr(testbed, "SHIPPED", tmp_path)
    with pytest.raises(AdapterError, match="workbench testbed train refusal"):
        load_testbed("refusal")
