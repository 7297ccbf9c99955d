"""Do decisions flip under a vector from one scenario? (paper, section 3)"""

from workbench.experiments.poser.program import PoserResult, PoserSettings, run_poser
from workbench.experiments.poser.scenarios import Scenarios

__all__ = ["PoserResult", "PoserSettings", "Scenarios", "run_poser"]
