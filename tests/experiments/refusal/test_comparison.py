"""The comparison's program: what is made, chosen and kept, and its page."""

import re

import pandas as pd
import pytest

from tests.experiments.refusal.test_program import SETTINGS
from workbench.analysis import RefusalOutcomes
from workbench.analysis.refusal_comparison import WAYS
from workbench.analysis.refusal_direction import RefusalDirection, candidates
from workbench.analysis.refusal_metric import RefusalMetric
from workbench.experiments.refusal import ComparisonSettings, comparison, run_comparison
from workbench.experiments.refusal.comparison_page import comparison_page
from workbench.experiments.registry import EXPERIMENTS
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

pytest.importorskip("sklearn")
COMPARED = ComparisonSettings(
    SETTINGS,
    requests=2,
    layers=[1, 2],
    tokens=1,
    largest_kl=0.1,
    mean_requests=6,
    direction_requests=2,
    harmless=2,
    random=2,
)


@pytest.fixture
def _selected(monkeypatch):
    """Selection needs a model that refuses; here its first candidate is taken."""
    metric = RefusalMetric((1,), ("x",), (), 1.0, 2, 2)

    def first(model, harmful, harmless, given, *validation, tokens, layers, largest_kl, progress):
        assert given is metric
        assert not set(harmful) & set(validation[0])
        found = candidates(model, harmful, harmless, tokens, layers)
        scores = {"bypass": -1.0, "induce": 1.0, "kl": 0.01, "chosen": True}
        table = pd.DataFrame([{"layer": found[0].layer, "token": -1, **scores}])
        return RefusalDirection(found[0], metric, table, 2, 2)

    monkeypatch.setattr(comparison, "refusal_metric", lambda *given: metric)
    monkeypatch.setattr(comparison, "select_refusal_direction", first)


@pytest.mark.usefixtures("_selected")
def test_vectors_are_chosen_on_validation_and_kept(requests, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_comparison(requests, COMPARED, folder, progress=False)
    compared = found.comparison
    assert list(compared.kinds.values()).count("one-shot") == 4
    assert compared.best in set(found.validation["vector"])
    assert set(compared.answers["request"]) == set(requests.harmful)
    assert set(found.validation["request"]) < set(requests.validation["request"])
    ways = compared.effects[compared.effects["vector"] == compared.best]["way"]
    assert list(ways) == list(WAYS)

    text = comparison_page(found, read_scale("refusal-comparison", "embedded")).to_html()
    assert text.count("<figure") == 2
    assert "points (95%" in text
    words = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"\bnan\b", words.lower())

    for name in ("one_shot_vectors", "select_refusal_direction"):
        monkeypatch.setattr(comparison, name, None)
    for name in ("attack", "cost"):  # every answer was kept
        monkeypatch.setattr(RefusalOutcomes, name, None)
    with RunFolder(tmp_path, {}) as folder:
        again = run_comparison(requests, COMPARED, folder, progress=False)
    pd.testing.assert_frame_equal(again.comparison.effects, compared.effects)


@pytest.mark.parametrize(("scale", "vectors"), [("embedded", 12), ("paper", 24)])
def test_settings_hold_those_of_the_vectors(scale, vectors):
    read = read_scale("refusal-comparison", scale)
    settings = read.of(EXPERIMENTS["refusal-comparison"].settings(read))
    assert 2 * settings.one_shot.requests == vectors
    assert settings.one_shot.layer == 12
