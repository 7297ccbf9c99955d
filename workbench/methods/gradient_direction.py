"""One gradient step on one example: a direction without a contrast set, and without a descent.

After Ratzlaff et al. 2024 (Non-Contrastive Visual Attribute Steering, arXiv 2411.12590), in text:
the direction in the stream along which an attribute's words grow likeliest fastest; ablated during
generation, they are no longer mentioned. It is also where `optimize` starts with L-BFGS, and so the
one-step baseline that a whole descent has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.methods.one_shot import Example, OneShotJob, optimize_batch
from workbench.models.hooked import HookedModel
from workbench.steering.vector import SteeringVector


def gradient_direction(
    model: HookedModel,
    examples: Example | Sequence[Example],
    layer: int,
    *,
    norm: int | float = 1.0,
    coldness: int | float = 1.0,
    label: str | None = None,
) -> SteeringVector:
    """The steepest descent of the examples' loss from the unsteered model, scaled to `norm`.

    Added, it makes what is promoted likelier; `Ablate` takes the direction out. Raises ValueError
    as `optimize` does.
    """
    job = OneShotJob(
        [examples] if isinstance(examples, Example) else list(examples),
        layer,
        steps=0,
        start="steepest",
        start_norm=norm,
        coldness=coldness,
    )
    (run,) = optimize_batch(model, [job], progress=False)
    made = run.vector
    return SteeringVector(
        made.values,
        made.layer,
        made.provenance.derived("gradient-direction", norm=float(norm)),
        label or f"gradient direction, layer {layer}",
    )
