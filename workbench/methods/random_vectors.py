"""Random directions: the control that every vector is judged against.

Uniform on the sphere, or, the stricter null, drawn with the covariance of the model's own
activations; both scaled to the norm of the vector they stand beside.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

_STREAM = 0x52414E44


def random_vector(
    like: SteeringVector,
    seed: int,
    label: str | None = None,
    *,
    covariance: Float[Tensor, "d_model d_model"] | None = None,
) -> SteeringVector:
    """A random vector with the layer, width, model and norm of `like`.

    With `covariance` (see `moments`), directions in which activations vary are likelier. Raises
    ValueError for one of another width, or one that is zero.
    """
    # A stream of its own: one-shot vectors of the same seed start at that seed's first draws.
    generator = torch.Generator().manual_seed(seed ^ _STREAM)
    values = torch.randn(like.d_model, generator=generator)
    if covariance is not None:
        values = _root(covariance, like.d_model) @ values
    provenance = Provenance(
        method="random" if covariance is None else "random with covariance",
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


def random_vectors(
    like: SteeringVector,
    count: int,
    seed: int = 0,
    *,
    covariance: Float[Tensor, "d_model d_model"] | None = None,
) -> VectorSet:
    """`count` of them, with the seeds `seed`, `seed + 1`, and so on."""
    return VectorSet(random_vector(like, seed + i, covariance=covariance) for i in range(count))


def _root(covariance: Tensor, width: int) -> Float[Tensor, "d_model d_model"]:
    """A matrix that turns unit noise into noise with this covariance."""
    if tuple(covariance.shape) != (width, width):
        raise ValueError(
            f"the covariance is {tuple(covariance.shape)}, the vector has width {width}"
        )
    values, vectors = torch.linalg.eigh(covariance.double())
    if not values[-1] > 0:
        raise ValueError("the covariance is zero: there is nothing to draw directions from")
    return (vectors * values.clamp(min=0).sqrt()).float()
