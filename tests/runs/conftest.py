"""A small study on a tiny model in a folder, as the processes of an executor can load it."""

import pytest

from workbench.runs import Study

QUESTIONS = ["w20 w21", "w22 w23 w24", "w25"]
ANSWERS = [" w30 w31 w32", " w33"]  # the tiny tokenizer needs the space at their beginning


def declared(folder, **changes):
    """A study of 30 jobs: 2 layers, 2 seeds, 5 methods, and the examples that fit them."""
    given = {
        "name": "small",
        "model": {"name": str(folder)},
        "chat": False,
        "layers": [1, 2],
        "seeds": [0, 1],
        "scales": [0.5, 1.0],
        "pack": 3,
        "token_budget": 64,
        "methods": {
            "adam": {"steps": 3, "learning_rate": 0.5},
            "lbfgs": {"steps": 2, "optimizer": "lbfgs"},
            "gradient": {"maker": "gradient", "norm": 2.0},
            "random": {"maker": "random", "norm": 2.0},
            "contrast": {"maker": "mean-difference", "norm": 2.0},
        },
        "examples": {
            "one": {"prompt": "w1 w2 w3", "promote": [" w10 w11"]},
            "two": [
                {"prompt": "w4 w5", "promote": [" w10"]},
                {"prompt": "w6", "suppress": [" w12"]},
            ],
            "pair": {"positive": ["w1 w2", "w3"], "negative": ["w4", "w5 w6"]},
        },
        "measures": {
            "held-out": {"measure": "log-prob", "prompts": QUESTIONS, "completion": " w10 w11"},
            "cost": {"measure": "kl", "prompts": QUESTIONS[:2], "completions": ANSWERS},
            "answers": {
                "measure": "begins",
                "prompts": QUESTIONS[:2],
                "openings": ["w10"],
                "max_new_tokens": 3,
            },
        },
    }
    return {**given, **changes}


@pytest.fixture
def study(folder):
    """The study itself."""
    return Study.from_dict(declared(folder))


def results(folder):
    """What a folder's records say, without what differs from time to time."""
    return {
        job_id: (record["state"], record["job"], record.get("result"))
        for job_id, record in folder.records().items()
    }


def equal(one, other):
    """Same jobs and states, bits where packs were equal, and losses as close as promised."""
    ours, theirs = one.records(), other.records()
    assert ours.keys() == theirs.keys()
    for job_id, record in ours.items():
        expected = theirs[job_id]
        assert record["state"] == expected["state"] == "done"
        if record["run"]["pack"] == expected["run"]["pack"]:
            assert record["result"] == expected["result"]
        loss = record["result"].get("loss")
        if loss is not None:
            close = 1e-3 * max(expected["result"]["loss"], 0.5)
            assert abs(loss - expected["result"]["loss"]) < close
