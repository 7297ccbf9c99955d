"""Rooms before figures load no plotly; figures load no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ROOMS = Path(workbench.__file__).parent


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


def imported(module: Path) -> set[str]:
    """What a module imports, also within its functions, but for types alone."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) not in typing_only and isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif id(node) not in typing_only and isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("room", ["models", "steering", "evaluation", "methods", "analysis"])
def test_nothing_that_measures_draws(room: str) -> None:
    for module in (ROOMS / room).rglob("*.py"):
        assert not {name for name in imported(module) if name.startswith("plotly")}, module


def test_nothing_that_draws_needs_a_model() -> None:
    own = ("workbench.files", "workbench.figures")
    for module in (ROOMS / "figures").rglob("*.py"):
        names = imported(module)
        assert not {n for n in names if n.startswith(("torch", "transformer"))}, module
        assert not {n for n in names if n.startswith("workbench.") and not n.startswith(own)}
