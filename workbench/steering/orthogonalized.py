"""Ablation made permanent: weights that cannot write a direction to the residual stream.

Arditi et al. 2024 (arXiv 2406.11717, section 4): W' = W - r̂ r̂ᵀ W for every matrix that writes to
the stream: embeddings, the attentions' and the MLPs' output, and their biases. It is the same
function as `Ablate(vector)` at every place.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workbench.models.edited import edited_copy
from workbench.models.hooked import HookedModel, device_of, dtype_of, logits
from workbench.models.identity import facts_of
from workbench.models.plain import HALF_PRECISION_TOLERANCE, TOLERANCE
from workbench.steering.hooks import steer
from workbench.steering.interventions import Ablate
from workbench.steering.vector import SteeringVector

# The last part of the name of a block's projections back into the stream.
_WRITERS = ("o_proj", "down_proj", "c_proj", "dense", "dense_4h_to_h", "out_proj", "fc2", "fc_out")
_PROBE = 8  # tokens
_POST_NORM = "post_feedforward_layernorm"  # Gemma 2 and 3, OLMo 2: what is written is normed


def orthogonalized(model: HookedModel, vector: SteeringVector) -> HookedModel:
    """A copy of the model whose weights never write the vector's direction; `model` is untouched.

    Raises ValueError for a zero vector, a model whose weights do not decide what is written (where
    blocks normalize their output), and a model without a plain one behind it.
    """
    vector.check_model(model)
    made = edited_copy(model, lambda hf: orthogonalize(hf, vector.values), "orthogonalized")
    _check_same(model, made, vector)
    return made


@torch.no_grad()
def _check_same(model: HookedModel, made: HookedModel, vector: SteeringVector) -> None:
    """Raise ValueError unless the new weights do what ablation does, on a few tokens."""
    count = min(_PROBE, int(model.cfg.d_vocab), int(model.cfg.n_ctx))
    tokens = torch.arange(count, device=device_of(model))[None]
    with steer(model, Ablate(vector)):
        expected = logits(model, tokens).float()
    found = logits(made, tokens).float()
    if float((found - expected).abs().max()) > _tolerance(made) * float(expected.abs().max()):
        raise ValueError(
            f"the weights of {facts_of(model).name} do not decide all that is written to its "
            "stream, so that they cannot be orthogonalized: use Ablate"
        )


def _tolerance(model: HookedModel) -> float:
    return TOLERANCE.get(dtype_of(model), HALF_PRECISION_TOLERANCE)


@torch.no_grad()
def orthogonalize(hf_model: PreTrainedModel, direction: Float[Tensor, " d_model"]) -> None:
    """The same in place, on a Hugging Face model that was never wrapped. A tied unembedding is
    untied first: it reads the stream and keeps its weights.

    Raises ValueError as `orthogonalized` does, and for a model whose writing weights are unknown.
    """
    width = int(hf_model.config.hidden_size)
    if direction.shape != (width,) or not direction.any():
        raise ValueError(
            f"the direction must be {width} numbers that are not all zero; it has shape "
            f"{tuple(direction.shape)}"
        )
    names = dict(hf_model.named_modules())
    if any(name.endswith(_POST_NORM) for name in names):
        raise ValueError(
            f"{type(hf_model).__name__} normalizes what its blocks write, so that weights do not "
            "decide its direction: use Ablate"
        )
    writers = list(_writers(hf_model))
    expected = 2 * int(hf_model.config.num_hidden_layers)
    if len(writers) != expected:
        raise ValueError(
            f"{type(hf_model).__name__} has {len(writers)} projections into the stream that are "
            f"known, and should have {expected}: use Ablate"
        )
    _untie(hf_model)
    unit = direction.double() / direction.double().norm()
    for module in names.values():
        if isinstance(module, nn.Embedding) and module.embedding_dim == width:
            _project(module.weight, unit, -1)
    for module in writers:
        _project(module.weight, unit, -1 if isinstance(module, Conv1D) else 0)
        if module.bias is not None:
            _project(module.bias, unit, 0)


def _writers(hf_model: PreTrainedModel) -> Iterator[nn.Linear | Conv1D]:
    for name, module in hf_model.named_modules():
        if name.rpartition(".")[2] in _WRITERS and isinstance(module, nn.Linear | Conv1D):
            yield module


def _project(weight: Tensor, unit: Float[Tensor, " d_model"], axis: int) -> None:
    """Take the direction out of what a weight writes, along the axis of d_model, in float64."""
    direction = unit.to(weight.device)
    moved = weight.double().movedim(axis, -1)
    moved = moved - (moved @ direction)[..., None] * direction
    weight.copy_(moved.movedim(-1, axis).to(weight.dtype))


def _untie(hf_model: PreTrainedModel) -> None:
    reads, writes = hf_model.get_output_embeddings(), hf_model.get_input_embeddings()
    if reads is not None and reads.weight is writes.weight:
        reads.weight = nn.Parameter(reads.weight.clone(), requires_grad=reads.weight.requires_grad)
    hf_model.config.tie_word_embeddings = False
