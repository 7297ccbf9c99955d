"""Difference of means: what separates two sets of prompts, at every layer.

Contrastive activation addition (Rimsky et al. 2024) and the refusal direction (Arditi et al. 2024):
the mean activation on one set minus that on the other, its own norm kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.methods.moments import Moments, moments
from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.activations import DEFAULT_BATCH, LAST_TOKEN, Activations, check_read
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet


def mean_difference(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    *,
    positive_completions: Sequence[str] | None = None,
    negative_completions: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    read: Sequence[Activations] | None = None,
    progress: bool = False,
) -> VectorSet:
    """One vector a layer: the mean over `positive` prompts minus the mean over `negative` ones.

    `positions` says which tokens are read, with completions after the prompts where they are
    given: the last token, the answer letter (`completion()` of one-token answers), the mean over
    a completion, the tokens of the template after the instruction (`last(k)`, their mean).
    `read`: the activations of both, where they are known already. Raises ValueError where those
    are of other prompts or layers than asked for.
    """
    wanted = list(range(n_layers(model)) if layers is None else layers)
    pairs = ((positive, positive_completions), (negative, negative_completions))
    if read is None:
        above, below = (
            moments(
                model,
                prompts,
                completions,
                layers=wanted,
                positions=positions,
                batch_size=batch_size,
                progress=progress,
            )
            for prompts, completions in pairs
        )
    else:
        for each, (prompts, _) in zip(read, pairs, strict=True):
            check_read(each, len(prompts), len(wanted))
        above, below = (Moments.of(each, wanted) for each in read)
    provenance = Provenance.of(
        "mean-difference",
        model,
        config={"positions": positions.to_dict(), "n_positive": above.n, "n_negative": below.n},
        examples=tuple(
            {"sign": sign, "prompts": list(prompts), "completions": list(completions or [])}
            for sign, (prompts, completions) in zip("+-", pairs, strict=True)
        ),
    )
    return VectorSet(
        SteeringVector(
            (above.at(layer) - below.at(layer)).float().cpu(),
            layer,
            provenance,
            label or f"mean difference, layer {layer}",
        )
        for layer in above.layers
    )
