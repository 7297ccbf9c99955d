"""Retraction as what `--full` asks about."""

from tests.experiments.fictitious.test_program import SETTINGS
from tests.experiments.full.conftest import SETTINGS as FULL
from workbench.experiments.fictitious.full import full_fictitious
from workbench.experiments.fictitious.program import false_claims
from workbench.methods import OneShotJob, optimize_batch
from workbench.steering import Add


def test_wanted_is_an_occupation_that_is_not_taken_back(claims):
    task = full_fictitious(claims, SETTINGS, FULL, ["w1 "], progress=False)
    items = task.draw(3)
    assert [len(item) for item in items] == [1, 1, 1]
    fewer = [example.to_dict() for item in task.draw(2) for example in item]
    assert fewer == [example.to_dict() for item in items[:2] for example in item]
    assert all(example.suppress and not example.promote for (example,) in items)
    assert task.job["layer"] == SETTINGS.measured_layers["suppression"]
    job = OneShotJob(items[0], **task.job, label="suppression 1")
    (run,) = optimize_batch(task.model, [job], progress=False)
    found = task.outcomes([run.vector])
    assert len(found) == FULL.prompts
    answers = claims.asked(
        false_claims(claims.test, FULL.prompts), Add(run.vector), tokens=SETTINGS.answer_tokens
    )
    assert list(found["wanted"]) == list(answers["stays"])
    assert list(task.unsteered()["prompt"]) == list(found["prompt"])
