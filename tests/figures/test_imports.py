"""Rooms before figures load no plotly; figures load no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("rooms", "unwanted"),
    [
        ("workbench.evaluation", "plotly"),
        ("workbench.analysis", "plotly"),
        ("workbench.figures", "torch"),
        ("workbench.figures", "transformer_lens"),
        ("workbench.figures", "kaleido"),
    ],
)
def test_room_does_not_load(rooms: str, unwanted: str) -> None:
    program = f"import sys, {rooms}; sys.exit({unwanted!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode() or f"{rooms} loads {unwanted}"
