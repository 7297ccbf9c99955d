"""The explorer in JupyterLab, in a real browser: how long a reader waits for what was asked.

A panel on the embedded model, a prompt of 40 tokens, one random vector at layer 10. Times are taken
in the page, from the key that moves a slider to the frame that shows what came of it; the first one
from the key that runs the panel's cell. It needs Chromium and the extra `browser`.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, spread
from benchmarks.setting import MODEL, QUESTION, Setting
from tests.explorer.browser import Page, chromium, jupyterlab, opened, write_notebook

NAME = "explorer"
LAYER, NORM = 10, 25.0
MOVES, GRIDS, IN_A_ROW = 15, 8, 30
BOUNDS = {"panel": 3000.0, "top": 200.0, "grid": 1500.0, "stop": 1.0}

CELLS = (
    """\
import torch
import workbench as wb

model = wb.load_model({model!r}, {dtype!r})
values = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))
vector = wb.SteeringVector({norm} * values / values.norm(), {layer}, label="random")""",
    """\
panel, heard = wb.explore(model, vector, {question!r}), []
panel.steer.status.observe(
    lambda change: heard.append(change["old"]) if change["new"] == "stopped" else None, "value"
)
panel""",
    "print('heard:', *heard, sep='|')",
)
# When a key was pressed last, and how long after it something was drawn first and last.
WATCH = """\
(panel) => {
  const since = (name) => requestAnimationFrame(() => {
    const now = performance.now() - window.pressed, times = window.waits[name] ??= [];
    times.push(now);
  });
  document.addEventListener("keydown", () => {
    window.pressed = performance.now();
    window.waits = {};
  }, true);
  new MutationObserver((changes) => {
    if (changes.some(({ target }) => target.querySelector?.("table"))) since("top");
  }).observe(panel, { childList: true, subtree: true });
  window.watchGrid = (plot) => plot.on("plotly_afterplot", () => since("grid"));
}"""


def measure(setting: Setting) -> list[Row]:
    """What a reader waits for; nothing where there is no browser."""
    if chromium() is None or find_spec("playwright") is None:
        why = "needs Chromium and playwright: apt-get install chromium, pip install '.[browser]'"
        return [Row(NAME, "JupyterLab in a browser", None, how=why)]
    dtype = "bfloat16" if "bfloat16" in setting.models else "float32"
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "notebooks").mkdir()
        (folder / "home").mkdir()
        names = {"model": MODEL, "dtype": dtype, "norm": NORM, "layer": LAYER, "question": QUESTION}
        cells = [cell.format(**names) for cell in CELLS]
        write_notebook(folder / "notebooks" / "explorer.ipynb", cells)
        with (
            jupyterlab(folder / "notebooks", folder / "home") as address,
            opened(address, "explorer.ipynb") as page,
        ):
            return _rows(page, dtype, setting.quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows(page: Page, dtype: str, quick: bool) -> list[Row]:
    page.run_cell(0)
    first, answered = _first_paint(page)
    panel = page.panel()
    panel.evaluate(WATCH)
    moves = _moves(page, "top", "PageDown", 5 if quick else MOVES)
    panel.get_by_role("tab", name="Lens").click()
    panel.get_by_label("follow changes").check()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    page.drawn().first.evaluate("(plot) => window.watchGrid(plot)")
    grids = _moves(page, "grid", "PageUp", 3 if quick else GRIDS)
    drawn, last = _in_a_row(page)
    panel.get_by_label("follow changes").uncheck()
    panel.get_by_role("tab", name="Steer").click()
    written = [_stopped(page) for _ in range(3)]
    page.run_cell(2)
    said = page.page.locator(".jp-OutputArea-output", has_text="heard:").inner_text()
    heard = [_number(each) for each in said.split("|")[1:]]
    after = [float(last - then) for last, then in zip(written, heard, strict=True)]

    def row(case: str, values: list[float], unit: str, bound: float | None, how: str) -> Row:
        digits = 0 if unit == "ms" else 1
        return Row(
            NAME,
            f"{case}, {dtype}",
            statistics.median(values),
            unit,
            bound,
            at_most=True,
            how=f"{how}; {spread(values, digits)}",
            data={"values": values},
        )

    rows = [
        row("panel after its cell is run", [first], "ms", BOUNDS["panel"], "first paint"),
        row("the first top five after that cell", [answered], "ms", None, "40 tokens"),
        row("top five after a slider's move", moves, "ms", BOUNDS["top"], "40 tokens"),
        row("lens grid after a slider's move", grids, "ms", BOUNDS["grid"], "31 by 40 cells"),
        row(
            f"last grid after {IN_A_ROW} moves in a row",
            [last],
            "ms",
            None,
            f"{drawn} grids drawn: those asked for in between are dropped",
        ),
        row(
            "tokens written after Stop",
            after,
            "tokens",
            BOUNDS["stop"],
            "once the kernel has heard of it",
        ),
    ]
    if page.complaints:
        raise RuntimeError(f"the browser's console has errors: {page.complaints[:3]}")
    return rows


def _first_paint(page: Page) -> tuple[float, float]:
    """Milliseconds until the panel stands there, and until its top five do."""
    cell = page.page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    cell.locator(".cm-content").first.click()
    begin = time.perf_counter()
    page.page.keyboard.press("Control+Enter")
    panel = page.panel()
    panel.get_by_role("button", name="Generate").wait_for()
    first = time.perf_counter() - begin
    panel.locator("table tbody tr").nth(4).wait_for()
    return 1000 * first, 1000 * (time.perf_counter() - begin)


def _moves(page: Page, what: str, key: str, count: int) -> list[float]:
    """Milliseconds from each of some moves to what it redraws; the first is not counted."""
    waits = []
    slider = page.panel().get_by_role("slider", name="scale of random")
    for _ in range(count + 1):
        slider.focus()
        page.page.keyboard.press(key)
        page.until(lambda: bool(_waits(page, what)))
        page.page.wait_for_timeout(300)
        waits.append(_waits(page, what)[-1])
    return waits[1:]


def _in_a_row(page: Page) -> tuple[int, float]:
    """How many grids are drawn for many quick moves, and when after the last one the last is."""
    page.panel().get_by_role("slider", name="scale of random").focus()
    drawn = 0
    for _ in range(IN_A_ROW):
        drawn += len(_waits(page, "grid"))
        page.page.keyboard.press("ArrowRight")
        page.page.wait_for_timeout(30)
    page.page.wait_for_timeout(5000)
    waits = _waits(page, "grid")
    return drawn + len(waits), waits[-1]


def _waits(page: Page, what: str) -> list[float]:
    return list(page.page.evaluate("(what) => window.waits?.[what] ?? []", what))


def _stopped(page: Page) -> int:
    """How many tokens there are when Stop has done its work."""
    panel = page.panel()
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_text(re.compile(r"^unsteered: [5-9] tokens$")).first.wait_for()
    panel.get_by_role("button", name="Stop").click()
    done = panel.get_by_text(re.compile(r"^stopped after \d+ tokens")).first
    done.wait_for()
    return _number(done.inner_text())


def _number(text: Any) -> int:
    found = re.search(r"\d+", str(text))
    if found is None:
        raise RuntimeError(f"no number of tokens in {text!r}")
    return int(found.group())
