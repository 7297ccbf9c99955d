"""One-shot optimized steering vectors (Dunefsky & Cohan, arXiv 2502.18862)."""

from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.optimize import optimize, optimize_batch
from workbench.methods.one_shot.result import OneShotRun

__all__ = ["Example", "OneShotJob", "OneShotRun", "optimize", "optimize_batch"]
