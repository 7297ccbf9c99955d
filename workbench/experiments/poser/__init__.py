"""Do decisions flip under a vector from one scenario? (paper, section 3)"""

from workbench.experiments.poser.program import PoserResult, run_poser
from workbench.experiments.poser.scenarios import Scenarios
from workbench.experiments.poser.settings import PoserSettings

__all__ = ["PoserResult", "PoserSettings", "Scenarios", "run_poser"]
