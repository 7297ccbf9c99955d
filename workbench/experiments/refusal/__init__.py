"""Do vectors from one example each make a model answer what it refuses? (paper, section 4)"""

from workbench.experiments.refusal.asking import Requests
from workbench.experiments.refusal.comparison import ComparisonResult, run_comparison
from workbench.experiments.refusal.program import RefusalResult, run_refusal
from workbench.experiments.refusal.settings import ComparisonSettings, RefusalSettings

__all__ = [
    "ComparisonResult",
    "ComparisonSettings",
    "RefusalResult",
    "RefusalSettings",
    "Requests",
    "run_comparison",
    "run_refusal",
]
