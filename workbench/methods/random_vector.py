"""A random direction: the control that every vector is judged against.

Gaussian, uniform over directions, scaled to the norm of the vector it stands beside.
"""

from __future__ import annotations

import torch

from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector


def random_vector(like: SteeringVector, seed: int, label: str | None = None) -> SteeringVector:
    """A random vector with the layer, width, model and norm of `like`."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(like.d_model, generator=generator)
    provenance = Provenance(
        method="random",
        model=like.provenance.model,
        seed=seed,
        config={"norm": like.norm},
        versions=like.provenance.versions,
        created=like.provenance.created,
    )
    return SteeringVector(
        values * (like.norm / values.norm()),
        like.layer,
        provenance,
        f"random {seed}" if label is None else label,
    )
