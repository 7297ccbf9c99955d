"""Score behaviour and its cost: one measure a file."""

from workbench.evaluation.begins_as import BeginsAs, begins_as
from workbench.evaluation.proportion import Proportion, proportion
from workbench.evaluation.surprisal import Surprisal, surprisal

__all__ = [
    "BeginsAs",
    "Proportion",
    "Surprisal",
    "begins_as",
    "proportion",
    "surprisal",
]
