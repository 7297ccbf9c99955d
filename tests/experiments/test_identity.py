"""What tells one run from another beside its settings."""

from types import SimpleNamespace

import pandas as pd

from workbench.experiments.identity import contents, contents_of, revisions
from workbench.models.identity import LoadFacts, remember


def test_contents_follow_every_cell_and_not_the_index():
    frame = pd.DataFrame({"request": ["a", "b"], "actions": [("c", "d"), ("e", "f")]})
    found = contents(frame)
    assert found["rows"] == 2
    assert contents(frame.set_index(pd.Index([5, 7]))) == found
    assert contents(frame.assign(request=["a", "c"])) != found
    assert contents(frame.iloc[::-1]) != found
    assert contents_of({"b": frame, "a": frame}) == {"a": found, "b": found}


def test_revisions_of_a_model_and_of_what_has_models(tiny):
    remember(tiny, LoadFacts("tiny", "abc"))
    assert revisions(tiny) == {"tiny": "abc"}
    assert revisions(SimpleNamespace(model=tiny)) == {"tiny": "abc"}
