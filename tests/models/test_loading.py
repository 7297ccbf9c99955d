"""Hooked models by name, folder and object; and what is recorded of them."""

from weakref import WeakKeyDictionary

import pytest
import torch

import workbench as wb
from tests.conftest import TL3, tiny_hf
from workbench.models import from_hf, load_model, loading, record_of
from workbench.models.identity import LoadFacts, facts_of
from workbench.models.plain import plain_of

pytestmark = pytest.mark.tl3  # which has bridges too

TOKENS = torch.tensor([[1, 20, 30, 40]])


def test_a_local_folder_loads_and_equals_the_plain_model(folder):
    model = load_model(str(folder))
    assert record_of(model).name == "my-tiny-model"
    with torch.no_grad():
        torch.testing.assert_close(
            model(TOKENS), tiny_hf("llama")(TOKENS).logits, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_whether_bfloat16_is_fast_is_measured_on_a_cpu(monkeypatch, faster):
    asked = []
    monkeypatch.setattr(loading, "_seconds", lambda dtype: asked.append(dtype) or dtype != faster)
    is_fast = loading.bfloat16_is_fast.__wrapped__  # no earlier answer
    assert is_fast(torch.device("cpu")) == (faster == torch.bfloat16)
    assert set(asked) == {torch.float32, torch.bfloat16}
    asked.clear()
    assert is_fast(torch.device("cuda"))
    assert not asked  # there it is known


def test_dtype_and_weight_processing_are_recorded(folder):
    half = load_model(str(folder), dtype="bfloat16")
    assert (record_of(half).dtype, record_of(half).weight_processing) == ("bfloat16", "raw")
    folded = load_model(str(folder), compatibility_mode=True)
    assert record_of(folded).weight_processing == "folded"
    with torch.no_grad():
        plain = tiny_hf("llama")(TOKENS).logits.log_softmax(-1)
        torch.testing.assert_close(folded(TOKENS).log_softmax(-1), plain, atol=1e-4, rtol=0)


def test_an_object_in_hand_with_a_tokenizer_that_was_never_saved(tokenizers):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer.from_str(tokenizers[True].backend_tokenizer.to_str())
    fresh = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    model = from_hf(tiny_hf("llama"), fresh, name="in-hand")
    assert facts_of(model).adds_bos
    assert wb.generate(model, ["w1 w2"], max_new_tokens=2, progress=False)[0]


def test_a_record_tells_models_apart_and_survives_tokenizing(tiny):
    before = record_of(tiny)
    tiny.to_tokens(["w1 w2 w3", "w1"])
    assert record_of(tiny) == before
    assert (before.d_model, before.n_layers) == (32, 4)
    tiny.tokenizer.chat_template += " "
    assert record_of(tiny).chat_template_hash != before.chat_template_hash


def test_of_a_model_wrapped_elsewhere_transformer_lens_tells_what_is_known(tiny, monkeypatch):
    monkeypatch.setattr("workbench.models.identity._FACTS", WeakKeyDictionary())
    assert facts_of(tiny) == LoadFacts("tiny-llama", adds_bos=True, stop_ids=(2,))
    assert record_of(tiny).weight_processing == "raw"


def test_a_model_booted_by_transformer_lens_itself_works_too(tokenizers):
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(
        "booted-elsewhere", hf_model=tiny_hf("llama"), tokenizer=tokenizers[True]
    )
    assert record_of(model).name == "booted-elsewhere"
    assert facts_of(model).stop_ids == (2,)
    run = wb.optimize(model, [wb.Example("w1 w2", promote=[" w3"])], 1, steps=2, progress=False)
    assert wb.generate(model, ["w1"], wb.Add(run.vector), max_new_tokens=2, progress=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm-135m-instruct", "did you mean 'smollm2-135m-instruct'"),
        ("no/such-model", "the hub did not give it. Known names: smollm2-135m-instruct"),
    ],
)
def test_a_wrong_name_gets_the_nearest_known_ones(name, message):
    with pytest.raises(ValueError, match=message):
        load_model(name)


def test_other_bad_requests(folder):
    with pytest.raises(ValueError, match="unknown dtype 'float8'"):
        load_model(str(folder), dtype="float8")
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match="does not hold a model that transformers can read"):
        load_model(str(folder))
    with pytest.raises(ValueError, match="no revision to choose"):
        load_model("smollm2-135m-instruct", revision="main")


@pytest.mark.skipif(TL3, reason="TransformerLens 3 does not spread models")
def test_a_model_is_spread_as_asked(folder):
    """On a machine without GPUs by name, all on the CPU; of more GPUs it is told that none is."""
    places = ["model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"]
    spread = {**dict.fromkeys(places, "cpu"), **{f"model.layers.{i}": "cpu" for i in range(4)}}
    model, plain = load_model(str(folder), device_map=spread), load_model(str(folder))
    assert torch.equal(model(TOKENS), plain(TOKENS))
    handed = tiny_hf("llama")
    handed.hf_device_map = spread  # as transformers leaves it where there are several devices
    model = from_hf(handed, plain.tokenizer, name="my-tiny-model", device="cpu")
    assert plain_of(model) is None  # accelerate's hooks are on the wrapped one
    assert torch.equal(model(TOKENS), plain(TOKENS))
    example = wb.Example("w1 w2 w3", promote=[" w10 w11"])
    runs = [wb.optimize(each, [example], 2, steps=3, progress=False) for each in (model, plain)]
    torch.testing.assert_close(runs[0].vector.values, runs[1].vector.values, atol=1e-4, rtol=1e-4)
    texts = [
        wb.generate(each, ["w1 w2"], wb.Add(run.vector, 2.0), max_new_tokens=4, progress=False)
        for each, run in zip((model, plain), runs, strict=True)
    ]
    assert texts[0] == texts[1]
    assert load_model(str(folder), n_devices=1).cfg.device is not None
    with pytest.raises(ValueError, match="mutually exclusive"):
        load_model(str(folder), device="cpu", device_map="auto")
    with pytest.raises(ValueError, match="smollm2-135m-instruct is small"):
        load_model("smollm2-135m-instruct", device_map="auto")
    if torch.cuda.device_count() < 2:
        with pytest.raises(ValueError, match="n_devices=2"):
            load_model(str(folder), n_devices=2)


@pytest.mark.embedded
def test_the_embedded_default(embedded):
    record = record_of(embedded)
    assert record.name == "smollm2-135m-instruct"
    assert (record.n_layers, record.d_model, record.dtype) == (30, 576, "float32")
    prompt = wb.chat(embedded, "What is the capital of France?")
    assert "Paris" in wb.generate(embedded, [prompt], max_new_tokens=16, progress=False)[0]
