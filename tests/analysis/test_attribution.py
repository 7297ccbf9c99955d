"""What steering changes adds up, part by part, and each part is what a plain computation gives."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.conftest import TL3, boot
from workbench.analysis.attribution import attribute

KINDS = ["llama", "gpt2", "gpt_neox", "qwen3", *([] if TL3 else ["gemma2", "gemma3"])]
PROMPTS = ["w1 w2 w3 ", "w4 w5 "]
TEXTS = ("w20", "w30")


def vector(layer, seed=0, size=3.0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(values * size, layer)


def logit_differences(model, prompts, steering):
    """From the last stream by the model's own head, a prompt at a time."""
    found = []
    for prompt in prompts:
        ids = [wb.models.text.completion_ids(model, prompt, text)[1][0] for text in TEXTS]
        kept = {}

        def keep(module, args, x, kept=kept):
            kept["last"] = x[0, -1].detach()

        last = model.hook_dict[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"]
        handle = last.register_forward_hook(keep)
        with torch.no_grad(), wb.steer(model, *steering):
            model(torch.tensor([wb.models.text.prompt_ids(model, prompt)]))
        handle.remove()
        with torch.no_grad():
            logits = model.unembed(model.ln_final(kept["last"][None, None]))[0, 0]
        found.append(float(logits[ids[0]] - logits[ids[1]]))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "steering",
    [
        [wb.Add(vector(1))],
        [wb.Clamp(vector(2), 4.0), wb.Add(vector(0, 1), -1.0, wb.Positions.last())],
        [wb.Ablate(vector(1))],
    ],
    ids=["add", "two", "ablate"],
)
def test_the_parts_add_up(kind, steering, tokenizers):
    model = boot(kind, tokenizers)
    found = attribute(model, PROMPTS, *TEXTS, steering)
    scale = np.abs(found.values).sum(axis=1)
    assert (np.abs(found.values.sum(axis=1) - found.change) <= 1e-3 * scale).all()
    assert found.before == pytest.approx(logit_differences(model, PROMPTS, []), abs=1e-4)
    assert found.after == pytest.approx(logit_differences(model, PROMPTS, steering), abs=1e-4)
    assert len({part.name for part in found.parts}) == len(found.parts)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_each_part_is_what_a_plain_computation_gives(kind, tokenizers):
    """Heads and MLPs from Hugging Face's own modules, with the norm written out."""
    model = boot(kind, tokenizers)
    steering = wb.Add(vector(1))
    (prompt,) = PROMPTS[:1]
    found = attribute(model, [prompt], *TEXTS, [steering])
    ids = [wb.models.text.completion_ids(model, prompt, text)[1][0] for text in TEXTS]
    tokens = torch.tensor([wb.models.text.prompt_ids(model, prompt)])
    hf = model.original_model
    body = hf.transformer if kind == "gpt2" else hf.model
    blocks = body.h if kind == "gpt2" else body.layers

    def run(steered):
        kept = {}

        def keep(name, which):
            def hook(module, args, out):
                value = args[0] if which == "in" else out
                kept[name] = (value[0] if isinstance(value, tuple) else value)[0, -1].double()

            return hook

        handles = []
        for i, block in enumerate(blocks):
            o = block.attn.c_proj if kind == "gpt2" else block.self_attn.o_proj
            handles.append(o.register_forward_hook(keep(f"z{i}", "in")))
            handles.append(block.mlp.register_forward_hook(keep(f"mlp{i}", "out")))
        norm = body.ln_f if kind == "gpt2" else body.norm
        handles.append(norm.register_forward_hook(keep("last", "in")))
        if steered:
            handles.append(
                blocks[1].register_forward_pre_hook(
                    lambda module, args, kwargs: ((args[0] + vector(1).values, *args[1:]), kwargs),
                    with_kwargs=True,
                )
            )
        with torch.no_grad():
            hf(tokens)
        for handle in handles:
            handle.remove()
        return kept

    clean, steered = run(False), run(True)
    norm = body.ln_f if kind == "gpt2" else body.norm
    weight, epsilon = norm.weight.double(), getattr(norm, "variance_epsilon", None) or norm.eps
    u = (
        hf.get_output_embeddings().weight[ids[0]] - hf.get_output_embeddings().weight[ids[1]]
    ).double()

    def centred(x):
        return x - x.mean() if kind == "gpt2" else x

    def sigma(x):
        return (centred(x).square().mean() + epsilon).sqrt()

    def read(x):
        return float((weight * centred(x) * u).sum().detach())

    by_name = dict(zip((part.name for part in found.parts), found.values[0], strict=True))
    after = float(sigma(steered["last"]))
    assert by_name["edit 1"] == pytest.approx(read(vector(1).values.double()) / after, abs=1e-5)
    for layer in range(1, 4):
        change = steered[f"mlp{layer}"] - clean[f"mlp{layer}"]
        assert by_name[f"MLP {layer}"] == pytest.approx(read(change) / after, abs=1e-5)
        o = blocks[layer].attn.c_proj if kind == "gpt2" else blocks[layer].self_attn.o_proj
        weights = o.weight.double() if kind == "gpt2" else o.weight.double().T
        change = steered[f"z{layer}"] - clean[f"z{layer}"]
        for head in range(4):
            part = slice(8 * head, 8 * head + 8)
            written = change[part] @ weights[part]
            assert by_name[f"head {layer}.{head}"] == pytest.approx(read(written) / after, abs=1e-5)
    scale = (1 / after - 1 / float(sigma(clean["last"]))) * read(clean["last"])
    assert by_name["final norm"] == pytest.approx(scale, abs=1e-5)


def test_layers_before_the_edit_are_left_out_and_frames_are_tidy(tiny):
    found = attribute(tiny, PROMPTS, *TEXTS, wb.Add(vector(2)))
    assert {part.layer for part in found.parts} == {2, 3, None}
    frame = found.to_frame()
    assert len(frame) == 2 * len(found.parts)
    assert frame.groupby("prompt")["logits"].sum().to_numpy() == pytest.approx(
        found.change, abs=1e-4
    )
    means = found.means(resamples=99)
    assert list(means["mean"]) == pytest.approx(list(found.values.mean(axis=0)))
    assert (means["low"] <= means["mean"] + 1e-9).all()
    assert (means["mean"] <= means["high"] + 1e-9).all()
    alone = attribute(tiny, PROMPTS[:1], *TEXTS, wb.Add(vector(2)))
    assert alone.means()["low"].isna().all()
    assert alone.values[0] == pytest.approx(found.values[0], abs=1e-5)


def test_a_vector_for_each_row(tiny):
    both = wb.Add([vector(1), vector(1, 5)])
    found = attribute(tiny, PROMPTS, *TEXTS, both)
    second = attribute(tiny, PROMPTS[1:], *TEXTS, wb.Add(vector(1, 5)))
    assert found.values[1] == pytest.approx(second.values[0], abs=1e-5)


@pytest.mark.parametrize(
    ("prompts", "texts", "steering", "message"),
    [
        ([], TEXTS, [wb.Add(vector(1))], "no prompts"),
        (PROMPTS, (["w1"], "w2"), [wb.Add(vector(1))], "1 texts for 2 prompts"),
        (PROMPTS, ("w7", "w7"), [wb.Add(vector(1))], "begin with the same token after prompt 0"),
        (PROMPTS, TEXTS, [], "edits nothing"),
    ],
)
def test_bad_input(tiny, prompts, texts, steering, message):
    with pytest.raises(ValueError, match=message):
        attribute(tiny, prompts, *texts, steering)


@pytest.mark.embedded
def test_it_adds_up_on_the_embedded_model(embedded):
    values = torch.randn(576, generator=torch.Generator().manual_seed(0))
    steering = wb.Add(wb.SteeringVector(values, 12))
    prompts = [wb.chat(embedded, text) for text in ("Who are you?", "What is two plus two?")]
    found = attribute(embedded, prompts, "Sorry", "The", steering)
    scale = np.abs(found.values).sum(axis=1)
    assert (np.abs(found.values.sum(axis=1) - found.change) <= 1e-3 * scale).all()
