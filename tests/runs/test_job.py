"""A job's id is its configuration's, and nothing else's."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.runs.job import StudyJob, canonical, digest

JOB = StudyJob(
    model={"name": "some", "dtype": "float32"},
    chat=True,
    method="adam",
    settings={"maker": "one-shot", "max_norm": 25.0, "steps": 20},
    example="plants",
    texts=({"prompt": "How?", "promote": ["é"]},),
    layer=10,
    seed=0,
    measures={"cost": {"measure": "kl", "prompts": ["a", "b"]}},
)


def test_the_id_is_this_one_in_every_process_and_version():
    """Changed ids mean that every finished job is done again: raise VERSION and say so."""
    assert JOB.id == "9be9870610de7fff"
    code = (
        "from workbench.runs.job import StudyJob; import json, sys; "
        "print(StudyJob(**json.load(sys.stdin)).id)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(asdict(JOB)), capture_output=True, text=True
    )
    assert out.stdout.strip() == JOB.id


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"name": "some", "dtype": "bfloat16"}},
        {"chat": False},
        {"method": "other"},
        {"settings": {"maker": "one-shot", "max_norm": 25.1, "steps": 20}},
        {"settings": {"maker": "one-shot", "max_norm": 25.0}},
        {"example": "other"},
        {"texts": ({"prompt": "How?", "promote": ["e"]},)},
        {"layer": 11},
        {"seed": 1},
        {"act": "clamp"},
        {"scales": (0.5,)},
        {"measures": {"cost": {"measure": "kl", "prompts": ["b", "a"]}}},
    ],
)
def test_anything_that_differs_is_another_job(changes):
    assert replace(JOB, **changes).id != JOB.id


def test_ways_of_writing_the_same_are_the_same_job():
    settings = {"steps": 20.0, "max_norm": 25, "maker": "one-shot"}
    same = replace(JOB, settings=settings, texts=[{"promote": ("é",), "prompt": "How?"}])
    assert same.id == JOB.id
    assert digest(1) != digest(True)
    assert digest("1") != digest(1)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(plain, plain)
def test_two_configurations_have_one_id_only_if_they_are_equal(one, other):
    assert (canonical(one) == canonical(other)) == (_typed(one) == _typed(other))


def _typed(value):
    """The value with truth values told from numbers, which Python takes for equal."""
    if isinstance(value, dict):
        return {name: _typed(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_typed(held) for held in value]
    return ("truth", value) if isinstance(value, bool) else value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"x"])
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(ValueError, match=r"texts, numbers, lists|not JSON compliant"):
        digest({"a": [value]})
