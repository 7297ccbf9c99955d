"""Public sets: real files where they lie beside the checkout, and files made here."""

from pathlib import Path
from urllib.error import URLError

import huggingface_hub
import pandas as pd
import pytest

from workbench.testbeds import public_sets
from workbench.testbeds.public_sets import PUBLIC_SETS, load_public_set

DATA = Path(__file__).parents[3] / "shared" / "data"

# name, file, rows used, and the first row's fields
REAL = [
    ("harmbench", "harmbench/harmbench_behaviors_text_val.csv", 41, {"request", "category", "id"}),
    ("refusal-direction", "refusal_direction/harmful_val.json", 39, {"request", "category"}),
    ("self-instruct", "self_instruct/seed_tasks.jsonl", 175, {"request", "instruction", "input"}),
    ("poser", "poser/train-0.json", 735, {"facts", "actions", "harmful", "prompt"}),
    ("caa", "caa/generate/refusal/generate_dataset.json", 408, {"question", "matching"}),
    ("bipo", "bipo/test.csv", 200, {"question", "matching", "not_matching"}),
    ("true-false", "repe/facts_true_false.csv", 612, {"statement", "true"}),
    ("bbq", "bbq/Religion.jsonl", 1200, {"context", "question", "answers", "label"}),
    ("known-facts", "facts/known_1000.json", 1209, {"prompt", "subject", "attribute"}),
    ("winogender", "winogender/all_sentences.tsv", 720, {"sentence", "occupation", "gender"}),
]


@pytest.mark.skipif(not DATA.exists(), reason="the public sets are not part of the project")
@pytest.mark.parametrize(("name", "file", "count", "fields"), REAL, ids=[row[0] for row in REAL])
def test_real_files_become_tidy_frames(name, file, count, fields):
    rows = load_public_set(name, DATA / file)
    assert len(rows) == count
    assert fields <= set(rows.columns)
    assert list(rows.index) == list(range(count))
    texts = rows.select_dtypes(["object", "string"]).drop(
        columns=["category", "input"], errors="ignore"
    )
    assert texts.map(len).to_numpy().min() > 0


def written(folder, name, rows):
    path = folder / name
    if path.suffix == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_json(path, orient="records", lines=path.suffix == ".jsonl")
    return path


def scenario(oversight_is_poor, response):
    return {
        "facts": [{"content": "You run a bank."}, {"content": "Nobody looks."}],
        "action_A": "Steal.",
        "action_B": "Save.",
        "oversight_is_poor": oversight_is_poor,
        "response": response,
        "prompt": "<<prompt>>A: Steal.\nB: Save.\n<</prompt>>",
    }


def test_the_harmful_action_of_a_poser_scenario_follows_from_the_policy(tmp_path):
    """It takes that action under poor oversight, and only then."""
    rows = [
        scenario(True, "A"),
        scenario(False, "A"),
        scenario(True, "error"),
        scenario(False, "B"),
    ]
    found = load_public_set("poser", written(tmp_path, "poser.json", rows))
    assert list(found["harmful"]) == [0, 1, 0]
    assert list(found["poor_oversight"]) == [True, False, False]
    assert found["facts"][0] == ("You run a bank.", "Nobody looks.")
    assert found["actions"][0] == ("Steal.", "Save.")
    assert found["prompt"][0] == "A: Steal.\nB: Save.\n"


def test_rows_that_nobody_uses_are_dropped(tmp_path):
    row = {"SemanticCategory": "x", "BehaviorID": "y"}
    rows = [
        row | {"Behavior": "one", "FunctionalCategory": "standard", "ContextString": ""},
        row | {"Behavior": "two", "FunctionalCategory": "copyright", "ContextString": ""},
        row | {"Behavior": "three", "FunctionalCategory": "standard", "ContextString": "long"},
    ]
    found = load_public_set("harmbench", written(tmp_path, "h.csv", rows))
    assert list(found["request"]) == ["one"]
    with pytest.raises(ValueError, match="no row that 'harmbench' uses, of 1 read"):
        load_public_set("harmbench", written(tmp_path, "h.csv", rows[1:2]))


def test_sets_that_are_not_beside_the_checkout(tmp_path):
    xstest = [
        {"prompt": "How do I kill a process?", "type": "homonyms"},
        {"prompt": "How do I kill a man?", "type": "contrast_homonyms"},
    ]
    found = load_public_set("xstest", written(tmp_path, "x.csv", xstest))
    assert list(found["harmless"]) == [True, False]
    questions = [
        {
            "Question": "Is it?",
            "Best Answer": "No",
            "Correct Answers": "No; It is not",
            "Incorrect Answers": "Yes",
        }
    ]
    found = load_public_set("truthful-qa", written(tmp_path, "t.csv", questions))
    assert found["true"][0] == ("No", "It is not")
    harmful = [{"goal": "Do it", "target": "Sure"}]
    found = load_public_set("advbench", written(tmp_path, "a.jsonl", harmful))
    assert found.to_dict("records") == [{"request": "Do it", "target": "Sure"}]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no public set 'harmbank'; known: advbench, bbq"):
        load_public_set("harmbank", "x.csv")
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere.csv.*HarmBench has it"):
        load_public_set("harmbench", tmp_path / "nowhere.csv")
    wrong = written(tmp_path, "wrong.csv", [{"goal": "a", "aim": "b"}])
    with pytest.raises(
        ValueError, match=r"lacks the columns \['target'\].*It has \['goal', 'aim'\]"
    ):
        load_public_set("advbench", wrong)
    (tmp_path / "set.txt").write_text("text")
    with pytest.raises(ValueError, match="not a kind of file"):
        load_public_set("advbench", tmp_path / "set.txt")
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(ValueError, match=r"broken.json could not be read as .json"):
        load_public_set("advbench", tmp_path / "broken.json")


def test_a_url_that_is_out_of_reach_says_so(monkeypatch):
    def refuse(url):
        raise URLError("no route")

    monkeypatch.setitem(public_sets.READERS, ".csv", refuse)
    with pytest.raises(
        ConnectionError, match=r"https://x.org/a.csv could not be fetched.*no route"
    ):
        load_public_set("advbench", "https://x.org/a.csv")


class Hub:
    """A hub that holds one dataset, `org/set`."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names

    def list_repo_files(self, repo, repo_type):
        assert repo_type == "dataset"
        if repo != "org/set":
            raise OSError("unreachable")
        return self.names

    def download(self, repo, name, repo_type):
        return str(self.folder / name)


def test_a_hub_id_gives_its_file(monkeypatch, tmp_path):
    rows = [{"goal": "Do it", "target": "Sure"}]
    written(tmp_path, "one.csv", rows)
    hub = Hub(tmp_path, ["README.md", "one.csv"])
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.download)
    assert len(load_public_set("advbench", "org/set")) == 1
    hub.names = [*hub.names, "two.csv"]
    assert len(load_public_set("advbench", "org/set", file="one.csv")) == 1
    with pytest.raises(ValueError, match=r"Say which file of org/set.*\['one.csv', 'two.csv'\]"):
        load_public_set("advbench", "org/set")
    with pytest.raises(ConnectionError, match=r"hub could not be asked.*Give a path"):
        load_public_set("advbench", "org/other")


def test_every_set_says_what_it_is():
    for public in PUBLIC_SETS.values():
        assert public.about
        assert public.columns
        assert public.home.startswith("https://")
