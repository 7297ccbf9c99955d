"""Does one narrow wrong answer spread? (paper, section 5)"""

from workbench.experiments.emergent.pipeline import MisalignmentResult, run_misalignment
from workbench.experiments.emergent.settings import MisalignmentSettings, SpreadSettings
from workbench.experiments.emergent.spread import SpreadResult, run_spread

__all__ = [
    "MisalignmentResult",
    "MisalignmentSettings",
    "SpreadResult",
    "SpreadSettings",
    "run_misalignment",
    "run_spread",
]
