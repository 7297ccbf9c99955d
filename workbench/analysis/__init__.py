"""Measure the structure of vectors: pure functions from vectors and models to results."""

from workbench.analysis.geometry import CosineGeometry, RandomBand, cosine_geometry, random_band
from workbench.analysis.vector_lens import LensToken, VectorLens, vector_lens

__all__ = [
    "CosineGeometry",
    "LensToken",
    "RandomBand",
    "VectorLens",
    "cosine_geometry",
    "random_band",
    "vector_lens",
]
