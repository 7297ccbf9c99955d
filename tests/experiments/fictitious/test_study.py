"""Retraction as an outcome to study."""

from tests.experiments.fictitious.test_program import SETTINGS
from tests.experiments.study.conftest import SETTINGS as FULL
from workbench.experiments.fictitious.program import false_claims
from workbench.experiments.fictitious.study import fictitious_study
from workbench.methods import OneShotJob, optimize_batch
from workbench.steering import Add


def test_wanted_is_an_occupation_that_is_not_taken_back(claims):
    study = fictitious_study(claims, SETTINGS, FULL, ["w1 "], progress=False)
    items = study.draw(3)
    assert [len(item) for item in items] == [1, 1, 1]
    fewer = [example.to_dict() for item in study.draw(2) for example in item]
    assert fewer == [example.to_dict() for item in items[:2] for example in item]
    assert all(example.suppress and not example.promote for (example,) in items)
    assert study.job["layer"] == SETTINGS.measured_layers["suppression"]
    job = OneShotJob(items[0], **study.job, label="suppression 1")
    (run,) = optimize_batch(study.model, [job], progress=False)
    found = study.outcomes([run.vector])
    assert len(found) == FULL.prompts
    answers = claims.asked(
        false_claims(claims.test, FULL.prompts), Add(run.vector), tokens=SETTINGS.answer_tokens
    )
    assert list(found["wanted"]) == list(answers["names"] & ~answers["retracts"])
