"""Runs that survive: folders that keep what is finished, and studies declared as data."""

from workbench.runs.cluster import RayCluster
from workbench.runs.executors import Executor, Processes, ThisProcess
from workbench.runs.folder import RunFolder
from workbench.runs.run import StudyStatus, run_study, status
from workbench.runs.study import Study, read_study
from workbench.runs.study_folder import StudyFolder

__all__ = [
    "Executor",
    "Processes",
    "RayCluster",
    "RunFolder",
    "Study",
    "StudyFolder",
    "StudyStatus",
    "ThisProcess",
    "read_study",
    "run_study",
    "status",
]
