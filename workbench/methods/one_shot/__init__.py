"""One-shot optimized steering vectors (Dunefsky & Cohan, arXiv 2502.18862)."""

from workbench.methods.one_shot.balance import Balance
from workbench.methods.one_shot.change import LargestChange
from workbench.methods.one_shot.constraint import LeastNorm
from workbench.methods.one_shot.example import Example, Imitation
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.likely import likely_completions, reference_losses
from workbench.methods.one_shot.losses_of import losses_of
from workbench.methods.one_shot.melbo import melbo
from workbench.methods.one_shot.noise import Noise
from workbench.methods.one_shot.optimize import optimize, optimize_batch
from workbench.methods.one_shot.presets import PRESETS
from workbench.methods.one_shot.reentrant import imitate, reentrant
from workbench.methods.one_shot.result import OneShotRun, finished
from workbench.methods.one_shot.sweep import sweep_layers

__all__ = [
    "PRESETS",
    "Balance",
    "Example",
    "Imitation",
    "LargestChange",
    "LeastNorm",
    "Noise",
    "OneShotJob",
    "OneShotRun",
    "finished",
    "imitate",
    "likely_completions",
    "losses_of",
    "melbo",
    "optimize",
    "optimize_batch",
    "reentrant",
    "reference_losses",
    "sweep_layers",
]
