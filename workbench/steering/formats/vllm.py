"""Interventions as the specs that TransformerLens's vLLM bridge takes: plain data by hook name.

`RemoteBridge.boot_vllm` gives a bridge to an engine that takes no functions. At the output of each
block, for every token of every request, it computes `x -> scale·x + bias`, in the engine's dtype:
its ops add a bias, multiply by one number, set, and suppress (which makes all of x zero). Sums of
vectors at every position are such maps. Nothing that looks at x first is: no clamp, no gate, and
not the ablation of a direction, which leaves the rest of x as it was. For that one, `orthogonalize`
makes weights that the engine can read.

vLLM needs a CUDA GPU. The tests boot TransformerLens's own bridge, hooks, buffers and validator on
an engine of plain PyTorch; vLLM itself has not been run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers import AutoTokenizer

from workbench.models.loading import adds_bos
from workbench.models.text import ids_of
from workbench.steering.formats.blocks import block_before
from workbench.steering.interventions import (
    Ablate,
    Add,
    Intervention,
    Steering,
    as_interventions,
    finite,
)
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector

Specs = dict[str, dict[str, Any]]


def vllm_specs(steering: Steering, bridge: Any = None) -> Specs:
    """What `bridge.forward(tokens, intervene=...)` takes: what to add to the output of which block.

    Several vectors at one layer are summed. With `bridge`, what `RemoteBridge.boot_vllm` gave, a
    vector must have been made on its model; without, nobody looks.

    Raises ValueError, in words, for everything but `Add` of one vector at every position: see
    above. Layer 0 cannot be said: some engines scale an embedding after they have looked it up.
    """
    sums: dict[int, Float[Tensor, " d_model"]] = {}
    for one in as_interventions(steering):
        vector, scaled = _added(one)
        _check_made_for(vector, bridge)
        for layer in vector.layers:
            block = block_before(layer)
            held = sums.get(block)
            if held is not None and held.shape != scaled.shape:
                raise ValueError(
                    f"vectors of different d_model at layer {layer}: {held.numel()} and "
                    f"{scaled.numel()}"
                )
            sums[block] = scaled if held is None else held + scaled
    return {
        f"blocks.{block}.hook_out": {"op": "add", "value": values.tolist()}
        for block, values in sorted(sums.items())
    }


def generate_on_vllm(
    bridge: Any,
    prompts: str | Sequence[str],
    specs: Specs,
    max_new_tokens: int = 64,
    temperature: int | float = 0.0,
    top_p: int | float = 1.0,
    seed: int | None = None,
) -> list[str]:
    """What the engine behind `bridge` writes after each prompt under `specs`, all at once.

    The bridge's own forward gives one token. As in `generate`, a prompt is exactly what is read and
    the new text comes without special tokens. The engine is left unsteered. Raises ValueError for
    a bridge that was booted with `enable_batching`, which is for reading activations.
    """
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    driver = bridge._driver  # there is no public way to the engine
    if driver._enable_batching:
        raise ValueError(
            "a bridge booted with enable_batching keeps every activation of every token: boot it "
            "without, the engine takes many prompts all the same"
        )
    # The bridge's own tokenizer always adds a BOS.
    tokenizer = AutoTokenizer.from_pretrained(str(bridge.cfg.model_name))
    bos = adds_bos(tokenizer)
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    sampling = SamplingParams(
        max_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop_token_ids=[i for i in [tokenizer.eos_token_id] if i is not None],
        detokenize=False,  # the engine is booted without a tokenizer
    )
    engine = driver._llm
    engine.collective_rpc("tl_set_interventions", args=(specs,))
    try:
        written = engine.generate(
            prompts=[TokensPrompt(prompt_token_ids=ids_of(tokenizer, text, bos)) for text in texts],
            sampling_params=sampling,
        )
    finally:
        engine.collective_rpc("tl_set_interventions", args=({},))
    return [
        tokenizer.decode(list(each.outputs[0].token_ids), skip_special_tokens=True)
        for each in written
    ]


def _added(one: Intervention) -> tuple[SteeringVector, Float[Tensor, " d_model"]]:
    """The vector of an `Add`, and what is added. Raises ValueError for what is no sum."""
    if isinstance(one, Ablate):
        raise ValueError(
            "vLLM's specs cannot ablate a direction: suppress makes the whole stream zero. Ablate "
            "it in the weights: orthogonalize(hf_model, vector.values), save_pretrained, and boot "
            "that folder"
        )
    if not isinstance(one, Add):
        raise ValueError(
            f"vLLM's specs add the same at every token: {type(one).__name__} looks at the stream "
            "first, only Add of one vector can be said"
        )
    if not isinstance(one.vector, SteeringVector) or not isinstance(one.scale, int | float):
        raise ValueError(
            "vLLM's specs act on every prompt alike: vectors or scales that go row by row need a "
            "call for each"
        )
    if Positions.of(one.positions).kind != "all":
        raise ValueError(
            "vLLM's specs act at every token, prompt and answer: positions must be Positions.all()"
        )
    return one.vector, one.vector.values * finite(one.scale)


def _check_made_for(vector: SteeringVector, bridge: Any) -> None:
    """Raise ValueError for a vector of folded weights, or of another model than the bridge's."""
    made_on = vector.provenance.model
    if made_on is None:
        return
    if made_on.weight_processing != "raw":
        raise ValueError(
            f"“{vector.label}” was made on {made_on.weight_processing} weights, and vLLM runs a "
            "model as it is: load it without compatibility_mode"
        )
    if bridge is None:
        return
    if made_on.name != (here := _name_of(bridge)):
        raise ValueError(
            f"“{vector.label}” was made on {made_on.name!r}, and the engine runs {here!r}. If you "
            "mean it, compile it without the bridge"
        )


def _name_of(bridge: Any) -> str:
    """The model's name as `load_model` would record it."""
    name = str(bridge.cfg.model_name)
    return Path(name).resolve().name if Path(name).is_dir() else name
