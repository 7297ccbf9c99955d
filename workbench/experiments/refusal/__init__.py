"""Do vectors from one example each make a model answer what it refuses? (paper, section 4)"""

from workbench.experiments.refusal.affine import AffineResult, run_affine
from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.comparison import ComparisonResult, run_comparison
from workbench.experiments.refusal.conditional import ConditionalResult, run_conditional
from workbench.experiments.refusal.program import RefusalResult, run_refusal
from workbench.experiments.refusal.settings import (
    AffineSettings,
    ComparisonSettings,
    ConditionalSettings,
    RefusalSettings,
)

__all__ = [
    "AffineResult",
    "AffineSettings",
    "ComparisonResult",
    "ComparisonSettings",
    "ConditionalResult",
    "ConditionalSettings",
    "RefusalResult",
    "RefusalSettings",
    "Requests",
    "run_affine",
    "run_comparison",
    "run_conditional",
    "run_refusal",
]
