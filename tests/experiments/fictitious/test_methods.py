"""What vectors against retraction are trained on."""

from dataclasses import replace

import pandas as pd
import pytest

import workbench as wb
from tests.experiments.fictitious.test_program import SETTINGS
from workbench.experiments.fictitious.methods import Making, trainable


def test_only_claims_that_are_taken_back_are_trained_on(claims):
    making = Making(claims, SETTINGS)
    found = making.candidates()
    prompts = claims.prompts(found)
    answers = wb.generate(claims.model, prompts, max_new_tokens=SETTINGS.answer_tokens)
    assert list(found["answer"]) == answers
    assert (found["occupation"] != found["true"]).all()
    fitting = trainable(found, 2)
    assert fitting["fits"].all()
    for row in fitting.to_dict("records"):
        assert row["answer"].startswith(row["begins"])
        assert any(phrase in row["answer"] for phrase in claims.phrases)
        assert making.retraction(row).suppress[0] == row["begins"]
    silent = replace(claims, phrases=("never said",))
    with pytest.raises(ValueError, match="takes back 0 of 6 training claims, and 1 are needed"):
        trainable(Making(silent, SETTINGS).candidates(), 1)


def test_an_empty_answer_does_not_fit(claims, monkeypatch):
    stop = claims.model.tokenizer.eos_token_id
    ended = wb.generate(claims.model, ["w1 "], max_new_tokens=1, details=True)[0]
    ended = replace(ended, text="", tokens=ended.tokens * 0 + stop)
    monkeypatch.setattr(
        "workbench.experiments.fictitious.methods.generate",
        lambda model, prompts, **options: [ended] * len(prompts),
    )
    assert not Making(claims, SETTINGS).candidates()["fits"].any()


def test_a_reentrant_vector_imitates_its_own_claims_first_stage(claims):
    making = Making(claims, SETTINGS)
    train = trainable(making.candidates(), 2)
    early = making.early(train)
    assert [vector.layer for vector in early] == [1, 1]
    made = making.vectors("reentrant", train, [2, 3], early)
    assert [vector.label for vector in made] == [
        f"reentrant {i}, layer {layer}" for layer in (2, 3) for i in (1, 2)
    ]
    first = made[0].provenance.examples[0]
    said = wb.generate(
        claims.model, [first["prompt"]], [wb.Add(early[0])], max_new_tokens=10, progress=False
    )
    assert first["imitate"] == said
    assert isinstance(train, pd.DataFrame)
