"""The page says what was measured, and runs nothing of what models wrote."""

import pandas as pd

from tests.experiments.fictitious.test_program import SETTINGS
from workbench.experiments.fictitious.page import bounds, page
from workbench.experiments.fictitious.program import run_fictitious
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_it_has_the_papers_numbers_every_vector_and_the_limits(claims, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_fictitious(claims, SETTINGS, folder, progress=False)
    text = page(found, read_scale("fictitious", "embedded")).to_html()
    assert text.count("<figure") == 2
    for words in ("The paper's numbers and ours".replace("'", "&#x27;"), "Limits"):
        assert words.lower() in text.lower()
    assert "nan" not in text.split("<main>")[1].split("<script")[0].replace("tenant", "")


def test_what_should_hold_is_judged_by_method():
    def said(method, vector, retracts, surprisal=1.0, names=True):
        return pd.DataFrame(
            {
                "vector": vector,
                "method": method,
                "retracts": retracts,
                "names": names,
                "stays": False,
                "about": "real",
                "surprisal": surprisal,
            }
        )

    answers = pd.concat(
        [
            said("unsteered", "unsteered", [True] * 4, 2.0),
            said("true claims", "true claims", [False] * 4, 1.0),
            said("promotion", "p1", [False] * 4, 2.9),
            said("suppression", "s1", [False] * 4, 3.1),
            said("random", "r1", [True] * 4, None),
            said("random", "r2", [True, True, False, False], None),
        ]
    )
    found = bounds(answers).set_index("method")
    assert found["holds"].to_dict() == {
        "unsteered": None,
        "true claims": None,
        "promotion": True,
        "suppression": False,
        "random": False,
    }
    assert found["retracts"]["random"] == 0.5
    assert found["surprisal to unsteered"]["promotion"] == 1.45
    assert found["to true claims"]["promotion"] == 2.9
