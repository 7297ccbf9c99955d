"""Affine editing of refusal, from training requests to the page."""

import pytest
import torch

import workbench as wb
from workbench.experiments.refusal import AffineSettings, run_affine
from workbench.experiments.refusal.affine_page import affine_page
from workbench.experiments.settings import read_scale
from workbench.methods import concept_edit
from workbench.runs import RunFolder
from workbench.steering.activations import activations

SETTINGS = AffineSettings(
    layers=[[1], [1, 2]],
    strengths=[0.0, 1.0],
    train_requests=4,
    validation_requests=2,
    test_requests=2,
    random=1,
    trial_tokens=3,
    answer_tokens=4,
)


def test_every_step_is_kept_and_on_the_page(requests, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_affine(requests, SETTINGS, folder, progress=False)
    assert len(found.tried) == 4
    ways = ["unsteered", "parent", "strength 0", "strength 1"]
    ways += ["random 1, strength 0", "random 1, strength 1"]
    assert list(dict.fromkeys(found.answers["way"])) == ways
    assert len(found.rates()) == 2 * len(ways)
    with folder:
        again = run_affine(requests, SETTINGS, folder, progress=False)
    assert again.answers.equals(found.answers)
    text = affine_page(found, read_scale("affine", "embedded")).to_html()
    assert text.count("<figure") == 3
    for words in ("harmful, strength 1", "random directions", "place along the concept"):
        assert words in text


def test_edits_and_places_equal_a_plain_computation(requests, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_affine(requests, SETTINGS, folder, progress=False)
    train = requests.train
    harmful, harmless = (
        [requests.prompt(each) for each in train[train["harmful"] == kind]["request"][:4]]
        for kind in (True, False)
    )
    edits = [concept_edit(requests.model, harmful, harmless, k) for k in found.layers]
    test = requests.test[~requests.test["harmful"]]["request"][:2]
    prompts = [requests.prompt(each) for each in [*requests.harmful, *test]]
    answers = wb.generate(
        requests.model,
        prompts,
        [wb.Affine(edit.at(1.0)) for edit in edits],
        max_new_tokens=4,
        progress=False,
    )
    own = found.answers[found.answers["way"] == "strength 1"]
    assert own["answer"].tolist() == answers
    places = found.projections[found.projections["layer"] == found.layers[0]]
    read = activations(requests.model, prompts, layers=found.layers[:1])[:, 0]
    direction = edits[0].direction.values
    plain = (read - edits[0].reference) @ direction / direction.dot(direction)
    torch.testing.assert_close(torch.tensor(places["place"].tolist()), plain, atol=1e-4, rtol=1e-4)
    assert places["harmful"].tolist() == [True, True, False, False]


def test_the_paper_scale_has_settings():
    assert read_scale("affine", "paper").of(AffineSettings).layers == [[15]]
    with pytest.raises(TypeError):
        read_scale("affine", "paper").of(AffineSettings, layer=3)
