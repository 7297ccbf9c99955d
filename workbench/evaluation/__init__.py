"""Score behaviour and its cost: one measure a file."""

from workbench.evaluation.attack import (
    REFUSAL_PHRASES,
    Attack,
    attack,
    classifier,
    own_surprisal,
    refusal_phrases,
)
from workbench.evaluation.begins_as import BeginsAs, begins_as
from workbench.evaluation.choices import Choices, PreparedChoices, choose, stated
from workbench.evaluation.cost import Calibrated, Cost, Reference, calibrate, cost
from workbench.evaluation.flips import Flips, flips
from workbench.evaluation.information import (
    Information,
    complexity,
    context_likelihood,
    information,
)
from workbench.evaluation.multiple_choice import Accuracy, accuracy
from workbench.evaluation.next_token import NextToken, next_token
from workbench.evaluation.phrases import Says, says
from workbench.evaluation.proportion import Proportion, proportion
from workbench.evaluation.relative_norm import RelativeNorms, relative_norms
from workbench.evaluation.repetition import distinct_share
from workbench.evaluation.separation import Separation, separation
from workbench.evaluation.surprisal import Surprisal, surprisal
from workbench.evaluation.topic import Topics, topics
from workbench.evaluation.two_level import Interval, two_level

__all__ = [
    "REFUSAL_PHRASES",
    "Accuracy",
    "Attack",
    "BeginsAs",
    "Calibrated",
    "Choices",
    "Cost",
    "Flips",
    "Information",
    "Interval",
    "NextToken",
    "PreparedChoices",
    "Proportion",
    "Reference",
    "RelativeNorms",
    "Says",
    "Separation",
    "Surprisal",
    "Topics",
    "accuracy",
    "attack",
    "begins_as",
    "calibrate",
    "choose",
    "classifier",
    "complexity",
    "context_likelihood",
    "cost",
    "distinct_share",
    "flips",
    "information",
    "next_token",
    "own_surprisal",
    "proportion",
    "refusal_phrases",
    "relative_norms",
    "says",
    "separation",
    "stated",
    "surprisal",
    "topics",
    "two_level",
]
