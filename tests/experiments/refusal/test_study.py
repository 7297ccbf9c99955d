"""Suppressed refusals as an outcome to study."""

from tests.experiments.refusal.test_program import SETTINGS
from tests.experiments.study.conftest import SETTINGS as FULL
from workbench.experiments.refusal.study import refusal_study
from workbench.methods import OneShotJob, optimize_batch


def test_wanted_is_an_answer_by_the_strict_rule(requests):
    study = refusal_study(requests, SETTINGS, FULL, ["w1 "], progress=False)
    items = study.draw(2)
    assert [len(item) for item in items] == [1, 1]
    assert all(example.promote and not example.suppress for (example,) in items)
    job = OneShotJob(items[0], **study.job, label="promotion 1")
    (run,) = optimize_batch(study.model, [job], progress=False)
    found = study.outcomes([run.vector])
    assert set(found.columns) == {"vector", "prompt", "wanted"}
    assert set(found["prompt"]) == set(requests.harmful[: FULL.prompts])
