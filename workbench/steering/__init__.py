"""Edit the residual stream while a model runs: vectors, interventions, positions, generation."""

from workbench.steering.affine import Affine, AffineMap
from workbench.steering.gating import Condition, When
from workbench.steering.generation import Generation, StreamedToken, generate, stream
from workbench.steering.hooks import apply_edits, steer
from workbench.steering.hub import from_hub, push_to_hub
from workbench.steering.interventions import Ablate, Add, Clamp, Custom, Edit, Intervention
from workbench.steering.orthogonalized import orthogonalize, orthogonalized
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.scoring import LogProbs, log_prob
from workbench.steering.storage import load_interventions, save_interventions
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet
from workbench.steering.window import TokenWindow

__all__ = [
    "Ablate",
    "Add",
    "Affine",
    "AffineMap",
    "Clamp",
    "Condition",
    "Custom",
    "Edit",
    "Generation",
    "Intervention",
    "LogProbs",
    "Positions",
    "Provenance",
    "SteeringVector",
    "StreamedToken",
    "TokenWindow",
    "VectorSet",
    "When",
    "apply_edits",
    "from_hub",
    "generate",
    "load_interventions",
    "log_prob",
    "orthogonalize",
    "orthogonalized",
    "push_to_hub",
    "save_interventions",
    "steer",
    "stream",
]
