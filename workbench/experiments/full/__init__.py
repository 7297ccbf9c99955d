"""What the paper left open: which one-shot vectors generalize, and can one tell beforehand?"""

from workbench.experiments.full.program import FullResult, run_full
from workbench.experiments.full.settings import FullSettings, FullTask

__all__ = ["FullResult", "FullSettings", "FullTask", "run_full"]
