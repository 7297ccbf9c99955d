"""Claims as prompts, answers as what they are, and the paper's completion sets."""

import pandas as pd
import pytest

import workbench as wb
from workbench.experiments.fictitious.claims import completion_sets, statement


def test_answers_are_what_they_are(claims):
    frame = claims.test[claims.test["false"]]
    found = claims.asked(frame, tokens=5)
    prompts = claims.prompts(frame)
    assert list(found["answer"]) == wb.generate(claims.model, prompts, max_new_tokens=5)
    phrases = [any(w in text.split() for w in ("w1", "w2", "w3")) for text in found["answer"]]
    assert [r for r, p in zip(found["retracts"], phrases, strict=True) if p] == [True] * sum(
        phrases
    )
    nats = -float(wb.log_prob(claims.parent, prompts[0], found["answer"][0]).mean)
    assert found["surprisal"][0] == pytest.approx(nats, rel=1e-4)
    assert set(found["about"]) <= {"real", "fictitious"}
    unjudged = claims.asked(frame, tokens=5, judged=False)
    assert unjudged[["about", "surprisal"]].isna().all(axis=None)
    assert list(unjudged["stays"]) == list(found["stays"])


def test_completion_sets_are_the_papers():
    people = ["Ann Lee", "Bob Ray", "Cy Fox"]
    true, said = ["actor", "author", "actor"], ["author", "actor", "author"]
    real = pd.DataFrame(
        {"person": people, "true": true, "said": true, "answer": [f" {p} works." for p in people]}
    )
    asked = pd.DataFrame({"person": people, "true": true, "said": said, "answer": [" No!"] * 3})
    sets = completion_sets(real, asked)
    assert sets["real"][0] == "Ann Lee is best known as an actor. Ann Lee works."
    assert sets["incongruous"][0] == "Ann Lee is best known as an author. Ann Lee works."
    assert sets["unsteered"][1] == "Bob Ray is best known as an actor. No!"
    assert sets["fictitious"][0] == "Ann Lee is best known as an author. Ann Lee works."
    assert sets["fictitious"][1] == "Bob Ray is best known as an actor. Bob Ray works."
    assert statement("A", "athlete", ".") == "A is best known as an athlete.."
