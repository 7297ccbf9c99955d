"""Ways to make steering vectors."""

from workbench.methods.one_shot import Example, OneShotJob, OneShotRun, optimize, optimize_batch
from workbench.methods.random_vector import random_vector

__all__ = ["Example", "OneShotJob", "OneShotRun", "optimize", "optimize_batch", "random_vector"]
