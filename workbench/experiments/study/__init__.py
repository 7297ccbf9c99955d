"""What the paper left open: which one-shot vectors generalize, and can one tell beforehand?"""

from workbench.experiments.study.program import StudyResult, run_study
from workbench.experiments.study.settings import Study, StudySettings

__all__ = ["Study", "StudyResult", "StudySettings", "run_study"]
