"""Our vectors on TransformerLens's vLLM bridge, booted on an engine of plain PyTorch.

The bridge, its plugin's hooks and buffers, its worker's calls and its validator are its own. The
engine has what they ask of vLLM: a model of vLLM's shape, whose layers see the tokens of a request
as rows and give what they add beside the stream, and `generate`.
"""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

import workbench as wb
from tests.conftest import TL3
from workbench.models import load_model
from workbench.steering import Provenance, orthogonalize
from workbench.steering.formats.vllm import generate_on_vllm, vllm_specs

if TL3:
    pytest.skip("TransformerLens 3 has no bridge to vLLM", allow_module_level=True)

from transformer_lens.model_bridge import RemoteBridge
from transformer_lens.model_bridge.sources.vllm import plugin
from transformer_lens.model_bridge.sources.vllm.intervention_specs import validate_spec
from transformer_lens.model_bridge.sources.vllm.worker_extension import (
    TLWorkerExtension,
    _apply_op,
)

PROMPTS = ["w1 w2 w3 w4", "w20 w21"]


class Layer(nn.Module):
    """A block as in vLLM: it is given what the last one added and the stream before, gives both."""

    def __init__(self, block, rotary):
        super().__init__()
        self.block, self.rotary = block, [rotary]
        self.self_attn, self.mlp = nn.Identity(), nn.Identity()  # hooks look for them

    def forward(self, added, stream):
        stream = added if stream is None else added + stream
        n = len(stream)
        positions = torch.arange(n)[None]
        mask = torch.full((n, n), torch.finfo(stream.dtype).min).triu(1)[None, None]
        out = self.block(
            stream[None],
            attention_mask=mask,
            position_embeddings=self.rotary[0](stream[None], positions),
        )
        return (out[0] if isinstance(out, tuple) else out)[0] - stream, stream


class Shaped(nn.Module):
    """A Llama in vLLM's shape."""

    def __init__(self, hf):
        super().__init__()
        layers = nn.ModuleList(Layer(block, hf.model.rotary_emb) for block in hf.model.layers)
        self.model = nn.Module()
        self.model.embed_tokens, self.model.layers = hf.model.embed_tokens, layers
        self.model.norm, self.lm_head = hf.model.norm, hf.lm_head
        self.logits_processor = SimpleNamespace(scale=1.0, soft_cap=None)

    def forward(self, ids):
        added, stream = self.model.embed_tokens(torch.tensor(ids)), None
        for layer in self.model.layers:
            added, stream = layer(added, stream)
        return self.lm_head(self.model.norm(added + stream))


class Engine:
    """What the bridge asks of `vllm.LLM`: one worker, greedy decoding without a cache."""

    def __init__(self, model, worker_extension_cls, dtype, **asked):
        assert asked["skip_tokenizer_init"]
        assert not asked["enable_prefix_caching"]
        self.hf = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval()
        self.worker = sys.modules["vllm.v1.worker.gpu_worker"].Worker(self.hf)
        self.worker.load_model()
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(hf_config=self.hf.config))

    def collective_rpc(self, name, args=()):
        return [getattr(self.worker, name)(*args)]

    @torch.no_grad()
    def generate(self, prompts, sampling_params):
        written = []
        for prompt in prompts:
            ids = list(prompt["prompt_token_ids"])
            before = len(ids)
            while len(ids) < before + sampling_params.max_tokens:
                ids.append(int(self.worker.model_runner.model(ids)[-1].argmax()))
                if ids[-1] in (sampling_params.stop_token_ids or ()):
                    break
            made = SimpleNamespace(token_ids=ids[before:], logprobs=None)
            written.append(SimpleNamespace(outputs=[made]))
        return written


class Worker(TLWorkerExtension):
    def __init__(self, hf):
        self.hf = hf

    def load_model(self):
        self.model_runner = SimpleNamespace(model=Shaped(self.hf))


@pytest.fixture
def boot(monkeypatch):
    """`RemoteBridge.boot_vllm` with that engine in vLLM's place."""
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.inputs")}
    modules["vllm"].LLM = Engine
    modules["vllm"].SamplingParams = lambda **given: SimpleNamespace(
        **{"stop_token_ids": None, **given}
    )
    modules["vllm.inputs"].TokensPrompt = dict
    for name in ("vllm.v1", "vllm.v1.worker", "vllm.v1.worker.gpu_worker"):
        modules[name] = ModuleType(name)
    worker = type("Worker", (Worker,), {})  # the plugin changes it
    modules["vllm.v1.worker.gpu_worker"].Worker = worker
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(plugin, "_install_patched", False)
    monkeypatch.setattr(plugin, "_orig_load_model", None)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_DISABLE_COMPILE_CACHE", "1")
    return lambda folder, **options: RemoteBridge.boot_vllm(
        str(folder), **{"dtype": torch.float32, "max_num_batched_tokens": 64, **options}
    )


def vector(model, layer, seed=0, norm=3.0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    provenance = Provenance.of("by hand", model)
    return wb.SteeringVector(norm * values / values.norm(), layer, provenance, "a vector")


def test_add_on_the_bridge_is_add_on_our_model(boot, folder):
    model, bridge = load_model(str(folder)), boot(folder)
    steering = [
        wb.Add(vector(model, 1), 2.0),
        wb.Add(vector(model, (1, 3), seed=1), -0.5),  # one layer twice
    ]
    specs = vllm_specs(steering, bridge)
    assert list(specs) == ["blocks.0.hook_out", "blocks.2.hook_out"]
    for hook, spec in specs.items():
        assert validate_spec(hook, spec, width=32) == spec
    tokens = torch.tensor([[1, 20, 30, 40, 50]])
    with torch.no_grad():
        plain = model(tokens)
        with wb.steer(model, steering):
            ours = model(tokens)
    torch.testing.assert_close(bridge.forward(tokens), plain, atol=1e-4, rtol=1e-4)
    found = bridge.forward(tokens, intervene=specs)
    torch.testing.assert_close(found, ours, atol=1e-4, rtol=1e-4)
    assert (ours - plain).abs().max() > 1.0
    later = {f"blocks.{i + 1}.hook_out": spec for i, spec in enumerate(specs.values())}
    assert (bridge.forward(tokens, intervene=later) - ours).abs().max() > 0.1  # the layer matters
    bridge.close()


def test_generation_on_the_bridge_is_ours_and_leaves_it_unsteered(boot, folder):
    model, bridge = load_model(str(folder)), boot(folder)
    steering = wb.Add(vector(model, 2, norm=8.0))
    expected = wb.generate(model, PROMPTS, steering, max_new_tokens=8, progress=False)
    unsteered = wb.generate(model, PROMPTS, max_new_tokens=8, progress=False)
    specs = vllm_specs(steering, bridge)
    assert generate_on_vllm(bridge, PROMPTS, specs, max_new_tokens=8) == expected
    assert generate_on_vllm(bridge, PROMPTS[0], {}, max_new_tokens=8) == unsteered[:1]
    assert expected != unsteered
    buffers = bridge._driver._llm.worker
    assert all(buffer.eq(0).all() for buffer in buffers._tl_bias_buffers.values())
    bridge.close()


def test_an_error_in_the_engine_leaves_it_unsteered(boot, folder, monkeypatch):
    bridge = boot(folder)
    engine = bridge._driver._llm

    def failing(prompts, sampling_params):
        assert engine.worker._tl_bias_buffers["blocks.0.hook_out"].ne(0).any()
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "generate", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        generate_on_vllm(bridge, "w1", vllm_specs(wb.Add(vector(None, 1))))
    assert all(buffer.eq(0).all() for buffer in engine.worker._tl_bias_buffers.values())


def test_what_cannot_be_said_is_refused(boot, folder, tiny):
    one = vector(None, 1)
    wide = wb.SteeringVector(torch.ones(8), 1)
    gate = wb.When(wb.Condition(one, 0.0), wb.Add(one))
    refused = [
        (wb.Add(one, positions=wb.Positions.last(1)), "positions must be Positions.all"),
        (wb.Add(one, positions=torch.tensor([True])), "positions must be Positions.all"),
        (wb.Add([one, None]), "row by row"),
        (wb.Add(one, scale=[1.0, 2.0]), "row by row"),
        (wb.Add(one, scale=float("nan")), "finite number"),
        (wb.Add(vector(None, 0)), "layer 0 acts before the first block"),
        (wb.Clamp(one), "Clamp looks at the stream"),
        (lambda resid, hook: resid, "Custom looks at the stream"),
        (gate, "When looks at the stream"),
        (wb.Ablate(one), "suppress makes the whole stream zero"),
        ([wb.Add(one), wb.Add(wide)], "different d_model at layer 1: 32 and 8"),
    ]
    for steering, words in refused:
        with pytest.raises(ValueError, match=words):
            vllm_specs(steering)
    with pytest.raises(TypeError, match="use Add"):
        vllm_specs([one])
    bridge = boot(folder)
    with pytest.raises(ValueError, match="the engine runs 'my-tiny-model'"):
        vllm_specs(wb.Add(vector(tiny, 1)), bridge)
    assert vllm_specs(wb.Add(vector(tiny, 1)))
    for spec, words in [
        (vllm_specs(wb.Add(wide)), "8 elements but the hook width is 32"),
        (vllm_specs(wb.Add(vector(None, 9))), "not in supported_hook_points"),
    ]:
        with pytest.raises(ValueError, match=words):
            bridge.forward(torch.tensor([[1, 2]]), intervene=spec)
    folded = load_model(str(folder), compatibility_mode=True)
    with pytest.raises(ValueError, match="made on folded weights"):
        vllm_specs(wb.Add(vector(folded, 1)))
    with pytest.raises(ValueError, match="booted with enable_batching"):
        generate_on_vllm(boot(folder, enable_batching=True), "w1", {})


def test_suppress_is_no_ablation_and_orthogonalized_weights_are(boot, folder, tmp_path):
    stream = torch.randn(5, 32, generator=torch.Generator().manual_seed(2))
    assert not _apply_op(stream, validate_spec("blocks.0.hook_out", {"op": "suppress"})).any()
    model = load_model(str(folder))
    direction = vector(model, 1)
    hf = AutoModelForCausalLM.from_pretrained(folder)
    orthogonalize(hf, direction.values)
    hf.save_pretrained(tmp_path / "ablated")
    model.tokenizer.save_pretrained(tmp_path / "ablated")
    tokens = torch.tensor([[1, 20, 30, 40, 50]])
    with torch.no_grad(), wb.steer(model, wb.Ablate(direction)):
        expected = model(tokens)
    found = boot(tmp_path / "ablated").forward(tokens)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
