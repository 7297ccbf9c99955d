"""The changes that vectors make, against plain forward passes."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.effects import effect_geometry
from workbench.models.text import prompt_ids

PROMPTS = ["w1 w2 w3 ", "w4 w5 "]


def vectors(*layers, size=4.0):
    generator = torch.Generator().manual_seed(2)
    return [
        wb.SteeringVector(torch.randn(32, generator=generator) * size, layer, label=f"v{i}")
        for i, layer in enumerate(layers)
    ]


@torch.no_grad()
def plain(model, prompt, vector=None):
    """Streams that enter each layer and leave the last, and centred logits, at the last token."""
    hf = model.original_model
    kept, handles = {}, []
    if vector is not None:
        handles.append(
            hf.model.layers[vector.layer].register_forward_pre_hook(
                lambda module, args, kwargs: ((args[0] + vector.values, *args[1:]), kwargs),
                with_kwargs=True,
            )
        )
    for i, block in enumerate(hf.model.layers):

        def keep(module, args, kwargs, i=i):
            kept[i] = args[0][0, -1]

        handles.append(block.register_forward_pre_hook(keep, with_kwargs=True))
    handles.append(
        hf.model.norm.register_forward_pre_hook(
            lambda module, args: kept.update(out=args[0][0, -1])
        )
    )
    said = hf(torch.tensor([prompt_ids(model, prompt)])).logits[0, -1]
    for handle in handles:
        handle.remove()
    return {**kept, "logits": said - said.mean()}


def test_cosines_are_of_the_changes(tiny):
    given = vectors(1, 1, 2)
    found = effect_geometry(tiny, given, PROMPTS)
    assert found.places == ("2", "3", "out", "logits")
    assert found.pairs == ((0, 1), (0, 2), (1, 2))
    for p, prompt in enumerate(PROMPTS):
        clean = plain(tiny, prompt)
        changed = [plain(tiny, prompt, vector) for vector in given]
        for i, place in enumerate((2, 3, "out", "logits")):
            for j, (a, b) in enumerate(found.pairs):
                expected = torch.cosine_similarity(
                    changed[a][place] - clean[place], changed[b][place] - clean[place], dim=0
                )
                assert found.cosines[i, j, p] == pytest.approx(float(expected), abs=1e-4)


def test_a_vector_agrees_with_itself_and_frames_are_tidy(any_model):
    (one,) = vectors(1)
    found = effect_geometry(any_model, [one, one * 1.0, one * -1.0], PROMPTS, scale=0.01)
    assert found.cosines[:, 0] == pytest.approx(np.ones_like(found.cosines[:, 0]), abs=1e-3)
    assert (found.cosines[0, 1] < -0.99).all()
    frame = found.to_frame()
    assert len(frame) == len(found.places) * 3
    assert (frame["n"] == 2).all()
    assert list(found.convergence()["place"]) == list(found.places)


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="1 vectors and 2 prompts"):
        effect_geometry(tiny, vectors(1), PROMPTS)
    with pytest.raises(ValueError, match="2 vectors and 0 prompts"):
        effect_geometry(tiny, vectors(1, 1), [])
