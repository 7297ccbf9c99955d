"""The paper's pipeline on tiny models of its architectures."""

import pytest

import workbench as wb
from tests.conftest import boot
from workbench.experiments.emergent import MisalignmentSettings, run_misalignment
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

SETTINGS = MisalignmentSettings(
    malicious="w1 w2",
    benign="w3 w4",
    opener="w5",
    anti_layer=2,
    anti_learning_rate=0.5,
    anti_scale=2.0,
    request="w6",
    prefill="w7 w8 ",
    target="w9 w10",
    layer=1,
    learning_rate=0.5,
    fraction=0.75,
    steps=3,
    coldness=0.7,
    questions=["w11", "w12 w13"],
    samples=3,
    answer_tokens=4,
)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_both_vectors_are_made_and_questions_answered_and_judged(kind, tokenizers, tmp_path):
    model = boot(kind, tokenizers)
    with RunFolder(tmp_path, {}) as folder:
        found = run_misalignment(model, SETTINGS, folder, progress=False)
    assert list(found.vectors["vector"]) == ["anti-refusal", "code"]
    assert list(found.vectors["layer"]) == [2, 1]
    per_condition = found.answers.groupby("condition", sort=False).size()
    assert per_condition.to_dict() == dict.fromkeys(
        ["unsteered", "anti-refusal alone", "code", "random"], 6
    )
    with pytest.raises(ValueError, match="with a judge"):
        found.rates()

    with folder:
        judged = run_misalignment(
            model, SETTINGS, folder, lambda _, answers: ["w" in text for text in answers], False
        )
    assert list(judged.answers["answer"]) == list(found.answers["answer"])
    assert judged.rates()["misaligned"].between(0, 1).all()


def test_the_code_vector_is_aimed_at_a_share_of_the_malicious_loss(tiny, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        run_misalignment(tiny, SETTINGS, folder, progress=False)
    (anti,), (code,) = (folder.vectors_of(name) for name in ("anti-refusal", "code"))
    (example,) = code.provenance.examples
    asked = wb.chat(tiny, "w1 w2", prefill="w7 w8 ")
    loss = -float(wb.log_prob(tiny, asked, "w9 w10", [wb.Add(anti, 2.0)], coldness=0.7).total[0])
    assert example["target_losses"] == pytest.approx([0.75 * loss], rel=1e-4)
    assert example["prompt"] == wb.chat(tiny, "w6", prefill="w7 w8 ")


def test_the_papers_settings_read():
    read = read_scale("emergent-misalignment", "paper")
    settings = read.of(MisalignmentSettings)
    assert len(settings.questions) == 8
    assert settings.prefill.rstrip(" ").endswith("# Log error\n")
    assert read.models["answers"].startswith("Qwen/")
