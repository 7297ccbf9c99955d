"""Suppressed refusals as what `--full` asks about."""

from tests.experiments.full.conftest import SETTINGS as FULL
from tests.experiments.refusal.test_program import SETTINGS
from workbench.experiments.refusal.full import full_refusal
from workbench.methods import OneShotJob, optimize_batch


def test_wanted_is_an_answer_by_the_strict_rule(requests):
    task = full_refusal(requests, SETTINGS, FULL, ["w1 "], progress=False)
    items = task.draw(2)
    assert [len(item) for item in items] == [1, 1]
    assert all(example.promote and not example.suppress for (example,) in items)
    job = OneShotJob(items[0], **task.job, label="promotion 1")
    (run,) = optimize_batch(task.model, [job], progress=False)
    found = task.outcomes([run.vector])
    assert set(found.columns) == {"vector", "prompt", "wanted"}
    assert set(found["prompt"]) == set(requests.harmful[: FULL.prompts])
