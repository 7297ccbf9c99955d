"""Steps are done once, and what is there is whole."""

import pandas as pd
import pytest
import torch

from workbench.runs import RunFolder
from workbench.steering import SteeringVector

FRAME = pd.DataFrame(
    {
        "text": ["a\nb", 'say "NA"', "", "</script>é"],
        "rate": [0.1, 1 / 3, 1e-9, 1.0],
        "n": [1, 2, 3, 4],
        "right": [True, False, True, True],
        "phrase": [None, "x", None, "1"],
    }
)


def never():
    raise AssertionError("this step is finished")


def test_a_table_is_made_once_and_reads_as_it_was_made(tmp_path):
    made = RunFolder(tmp_path / "run", {"layer": 3}).table("rates", lambda: FRAME)
    again = RunFolder(tmp_path / "run", {"layer": 3}).table("rates", never)
    pd.testing.assert_frame_equal(made, again)
    pd.testing.assert_frame_equal(again, FRAME)


def test_vectors_are_made_once_with_their_order_labels_and_values(tmp_path):
    torch.manual_seed(0)
    vectors = [SteeringVector(torch.randn(8), i, label=f"v {9 - i}") for i in range(3)]
    made = RunFolder(tmp_path, {}).vectors("best", lambda: vectors)
    again = RunFolder(tmp_path, {}).vectors("best", never)
    for found in (made, again):
        assert [v.label for v in found] == ["v 9", "v 8", "v 7"]
        assert [v.layer for v in found] == [0, 1, 2]
        torch.testing.assert_close(found.stack(), torch.stack([v.values for v in vectors]))


def test_a_step_that_fails_leaves_nothing_and_is_done_again(tmp_path):
    def vectors():
        yield SteeringVector(torch.ones(4), 0)
        raise RuntimeError("killed")

    folder = RunFolder(tmp_path, {})
    with pytest.raises(RuntimeError, match="killed"):
        folder.vectors("some", vectors)
    with pytest.raises(RuntimeError, match="killed"):
        folder.table("some", lambda: pd.DataFrame({"a": [1 for _ in vectors()]}))
    assert not list(tmp_path.rglob("*.part"))
    assert len(folder.vectors("some", lambda: [SteeringVector(torch.ones(4), 0)])) == 1


def test_a_folder_serves_no_other_settings(tmp_path):
    RunFolder(tmp_path, {"layer": 3, "norm": 1.5})
    RunFolder(tmp_path, {"norm": 1.5, "layer": 3})
    with pytest.raises(ValueError, match=r"other settings \(layer, seed\): choose another folder"):
        RunFolder(tmp_path, {"layer": 4, "norm": 1.5, "seed": None})


def test_damage_is_named(tmp_path):
    folder = RunFolder(tmp_path, {})
    folder.table("rates", lambda: FRAME)
    path = tmp_path / "tables" / "rates.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"rates\.jsonl is damaged; delete it"):
        folder.table("rates", never)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings\.json is damaged"):
        RunFolder(tmp_path, {})
