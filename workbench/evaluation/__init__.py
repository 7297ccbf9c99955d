"""Score behaviour and its cost: one measure a file."""

from workbench.evaluation.begins_as import BeginsAs, begins_as
from workbench.evaluation.proportion import Proportion, proportion

__all__ = [
    "BeginsAs",
    "Proportion",
    "begins_as",
    "proportion",
]
