"""Methods side by side on one task, at one budget."""

from workbench.experiments.compare.arithmetic import arithmetic_task
from workbench.experiments.compare.feeling import feeling_task
from workbench.experiments.compare.made import Made
from workbench.experiments.compare.makers import METHODS
from workbench.experiments.compare.program import CompareSettings, Comparison, compare
from workbench.experiments.compare.slopes import Slopes, SlopeSettings, slopes
from workbench.experiments.compare.task import Item, Task, caa_task, prompts_task, refusal_task

__all__ = [
    "METHODS",
    "CompareSettings",
    "Comparison",
    "Item",
    "Made",
    "SlopeSettings",
    "Slopes",
    "Task",
    "arithmetic_task",
    "caa_task",
    "compare",
    "feeling_task",
    "prompts_task",
    "refusal_task",
    "slopes",
]
