"""Measure the structure of vectors: pure functions from vectors and models to results."""

from workbench.analysis.attribution import Attribution, Part, attribute
from workbench.analysis.connectivity import Connectivity, connectivity
from workbench.analysis.effects import EffectGeometry, effect_geometry
from workbench.analysis.geometry import CosineGeometry, RandomBand, cosine_geometry, random_band
from workbench.analysis.heads import IndirectEffects, indirect_effects, reading_heads
from workbench.analysis.layer_sweep import LayerSweep, layer_sweep, log_prob_outcome
from workbench.analysis.logit_lens import LogitLens, logit_lens
from workbench.analysis.position_map import PositionMap, position_map
from workbench.analysis.refusal_direction import RefusalDirection, select_refusal_direction
from workbench.analysis.refusal_metric import RefusalMetric, refusal_metric
from workbench.analysis.structure import ActivationStructure, Plane, activation_structure
from workbench.analysis.subspaces import (
    Spectrum,
    SubspaceAngles,
    angles_to,
    principal_angles,
    spectrum,
)
from workbench.analysis.vector_lens import LensToken, VectorLens, vector_lens

__all__ = [
    "ActivationStructure",
    "Attribution",
    "Connectivity",
    "CosineGeometry",
    "EffectGeometry",
    "IndirectEffects",
    "LayerSweep",
    "LensToken",
    "LogitLens",
    "Part",
    "Plane",
    "PositionMap",
    "RandomBand",
    "RefusalDirection",
    "RefusalMetric",
    "Spectrum",
    "SubspaceAngles",
    "VectorLens",
    "activation_structure",
    "angles_to",
    "attribute",
    "connectivity",
    "cosine_geometry",
    "effect_geometry",
    "indirect_effects",
    "layer_sweep",
    "log_prob_outcome",
    "logit_lens",
    "position_map",
    "principal_angles",
    "random_band",
    "reading_heads",
    "refusal_metric",
    "select_refusal_direction",
    "spectrum",
    "vector_lens",
]
