"""Ways to make steering vectors."""

from workbench.methods.affine import ConceptEdit, concept_edit
from workbench.methods.gradient_direction import gradient_direction
from workbench.methods.guided import Guidance, guidance
from workbench.methods.linear_probe import LinearProbe, linear_probe
from workbench.methods.mean_difference import mean_difference
from workbench.methods.moments import Moments, moments
from workbench.methods.one_shot import Example, OneShotJob, OneShotRun, optimize, optimize_batch
from workbench.methods.principal_component import principal_component
from workbench.methods.random_vectors import random_vector, random_vectors

__all__ = [
    "ConceptEdit",
    "Example",
    "Guidance",
    "LinearProbe",
    "Moments",
    "OneShotJob",
    "OneShotRun",
    "concept_edit",
    "gradient_direction",
    "guidance",
    "linear_probe",
    "mean_difference",
    "moments",
    "optimize",
    "optimize_batch",
    "principal_component",
    "random_vector",
    "random_vectors",
]
