"""Runs that survive: programs of steps, and studies declared as data, in folders that keep them."""

from workbench.runs.cluster import RayCluster
from workbench.runs.executors import Executor, Processes, ThisProcess
from workbench.runs.run import StudyStatus, folder_at, run_study, status
from workbench.runs.run_folder import RunFolder, RunStatus
from workbench.runs.study import Study, read_study
from workbench.runs.study_folder import StudyFolder

__all__ = [
    "Executor",
    "Processes",
    "RayCluster",
    "RunFolder",
    "RunStatus",
    "Study",
    "StudyFolder",
    "StudyStatus",
    "ThisProcess",
    "folder_at",
    "read_study",
    "run_study",
    "status",
]
