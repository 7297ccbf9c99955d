"""Ways to make steering vectors."""

from workbench.methods.act_add import FrontVectors, act_add
from workbench.methods.affine import ConceptEdit, concept_edit, concept_edits
from workbench.methods.bipo import BipoSettings, Preference, bipo
from workbench.methods.caa import LetteredPair, balanced_pairs, caa, lettered_pairs
from workbench.methods.ensemble import ContrastSet, SearchSpace, ensemble, merged, search
from workbench.methods.gates import Gate, gates
from workbench.methods.gradient_direction import gradient_direction
from workbench.methods.guided import Guidance, guidance
from workbench.methods.kl_then_steer import KtsSettings, kl_then_steer
from workbench.methods.linear_probe import LinearProbe, linear_probe
from workbench.methods.mean_difference import mean_difference
from workbench.methods.moments import Moments, moments
from workbench.methods.one_shot import Example, OneShotJob, OneShotRun, optimize, optimize_batch
from workbench.methods.principal_component import principal_component
from workbench.methods.random_vectors import random_vector, random_vectors
from workbench.methods.reasoning_calibration import at_blank_lines, reasoning_calibration
from workbench.methods.reasoning_vectors import reasoning_vectors

__all__ = [
    "BipoSettings",
    "ConceptEdit",
    "ContrastSet",
    "Example",
    "FrontVectors",
    "Gate",
    "Guidance",
    "KtsSettings",
    "LetteredPair",
    "LinearProbe",
    "Moments",
    "OneShotJob",
    "OneShotRun",
    "Preference",
    "SearchSpace",
    "act_add",
    "at_blank_lines",
    "balanced_pairs",
    "bipo",
    "caa",
    "concept_edit",
    "concept_edits",
    "ensemble",
    "gates",
    "gradient_direction",
    "guidance",
    "kl_then_steer",
    "lettered_pairs",
    "linear_probe",
    "mean_difference",
    "merged",
    "moments",
    "optimize",
    "optimize_batch",
    "principal_component",
    "random_vector",
    "random_vectors",
    "reasoning_calibration",
    "reasoning_vectors",
    "search",
]
