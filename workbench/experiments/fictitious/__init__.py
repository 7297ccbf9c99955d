"""Do vectors keep a model from taking back what was put in its mouth? (paper, section 6)"""

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.program import FictitiousResult, run_fictitious
from workbench.experiments.fictitious.settings import FictitiousSettings

__all__ = ["Claims", "FictitiousResult", "FictitiousSettings", "run_fictitious"]
