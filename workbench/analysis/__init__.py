"""Measure the structure of vectors: pure functions from vectors and models to results."""

from workbench.analysis.attribution import Attribution, Part, attribute
from workbench.analysis.connectivity import Connectivity, connectivity
from workbench.analysis.dictionary import DictionaryMatch, load_dictionary, match_dictionary
from workbench.analysis.effects import EffectGeometry, effect_geometry
from workbench.analysis.geometry import CosineGeometry, RandomBand, cosine_geometry, random_band
from workbench.analysis.heads import IndirectEffects, indirect_effects, reading_heads
from workbench.analysis.layer_sweep import LayerSweep, layer_sweep, log_prob_outcome
from workbench.analysis.logit_lens import LogitLens, logit_lens
from workbench.analysis.mediation import Mediation, mediate
from workbench.analysis.position_map import PositionMap, position_map
from workbench.analysis.refusal_comparison import RefusalComparison, compare_refusal
from workbench.analysis.refusal_direction import RefusalDirection, select_refusal_direction
from workbench.analysis.refusal_metric import RefusalMetric, refusal_metric
from workbench.analysis.refusal_outcomes import Harmless, RefusalCost, RefusalOutcomes
from workbench.analysis.sources import SourceAttribution, attribute_sources
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
    "DictionaryMatch",
    "EffectGeometry",
    "Harmless",
    "IndirectEffects",
    "LayerSweep",
    "LensToken",
    "LogitLens",
    "Mediation",
    "Part",
    "Plane",
    "PositionMap",
    "RandomBand",
    "RefusalComparison",
    "RefusalCost",
    "RefusalDirection",
    "RefusalMetric",
    "RefusalOutcomes",
    "SourceAttribution",
    "Spectrum",
    "SubspaceAngles",
    "VectorLens",
    "activation_structure",
    "angles_to",
    "attribute",
    "attribute_sources",
    "compare_refusal",
    "connectivity",
    "cosine_geometry",
    "effect_geometry",
    "indirect_effects",
    "layer_sweep",
    "load_dictionary",
    "log_prob_outcome",
    "logit_lens",
    "match_dictionary",
    "mediate",
    "position_map",
    "principal_angles",
    "random_band",
    "reading_heads",
    "refusal_metric",
    "select_refusal_direction",
    "spectrum",
    "vector_lens",
]
