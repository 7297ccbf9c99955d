"""JupyterLab on a folder, and a notebook of it in Chromium: what the browser tests drive."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "explorer"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What JupyterLab or the browser say for reasons of their own.
HARMLESS = (
    "GL Driver Message",
    "Failed to load resource: the server responded with a status of 404",
)
NOTEBOOK = "jupyterapp.shell.currentWidget"
CELLS = f"[...{NOTEBOOK}.content.model.cells].filter((cell) => cell.type === 'code')"
KERNEL = f"{NOTEBOOK}?.context?.sessionContext?.session?.kernel"  # without one, running asks for it


def chromium() -> str | None:
    """The system's Chromium."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """A notebook of code cells."""
    import nbformat.v4 as v4

    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    return save_notebook(notebook, path)


def save_notebook(notebook: Any, path: Path) -> Path:
    """Write a notebook that does not ask which kernel it wants."""
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    path.write_text(json.dumps(notebook))
    return path


@contextmanager
def jupyterlab(folder: Path, home: Path, dark: bool = False) -> Iterator[str]:
    """The address of a JupyterLab of this environment on a folder; its settings are in `home`."""
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(news))
    theme = {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}
    (settings / "themes.jupyterlab-settings").write_text(json.dumps(theme))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **{name: str(place) for name, place in places.items()}},
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _until_it_answers(f"{address}/api/status?token={TOKEN}", server, home / "server.log")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


class Page:
    """A notebook in a browser. `complaints` holds the errors of its console."""

    def __init__(self, page: Any, address: str, notebook: str):
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda said: said.type == "error" and self._heard(said.text))
        page.on("pageerror", lambda error: self._heard(str(error)))
        page.goto(f"{address}/doc/tree/{notebook}?token={TOKEN}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        page.wait_for_function(f"{KERNEL}?.connectionStatus === 'connected'", timeout=60_000)
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=60_000)

    def _heard(self, complaint: str) -> None:
        if not any(each in complaint for each in HARMLESS):
            self.complaints.append(complaint)

    def run_cell(self, number: int, timeout: float = 120.0) -> None:
        """Run a code cell, and wait for its end."""
        from playwright.sync_api import expect

        cell = self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        prompt = cell.locator(".jp-InputPrompt")
        for _ in range(10):  # keys pressed while the editor or the kernel is being made are lost
            cell.locator(".cm-content").first.click()
            self.page.keyboard.press("Control+Enter")
            self.page.wait_for_timeout(500)
            if prompt.inner_text().strip() != "[ ]:":
                break
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=1000 * timeout)

    def panel(self, number: int = 0) -> Any:
        """One of the explorer's panels, from above."""
        return self.page.locator(".jp-OutputArea-output > .widget-vbox").nth(number)

    def run_all(self, timeout: float = 240.0) -> None:
        """Run all cells, and wait for the last one's end. Raises AssertionError for errors."""
        self.page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_timeout(500)
        self.until(lambda: self._errors() or self._all_run(), timeout)
        if errors := self._errors():
            raise AssertionError(f"cells ended in errors: {errors}")

    def command(self, name: str) -> None:
        """One of JupyterLab's commands."""
        self.page.evaluate(f"jupyterapp.commands.execute({name!r})")

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme."""
        self.page.evaluate(
            f"jupyterapp.commands.execute('apputils:change-theme', {{theme: {name!r}}})"
        )

    def drawn(self, at_least: int = 1) -> Any:
        """The panel's figures that can be seen."""
        plots = self.panel().locator(".js-plotly-plot").locator("visible=true")
        self.until(lambda: plots.count() >= at_least)
        plots.nth(at_least - 1).locator(".nsewdrag").first.wait_for()
        return plots

    def click_in(self, plot: Any, across: float, down: float) -> None:
        """Click in a plot's own area, at shares of it from its upper left corner."""
        self.page.wait_for_timeout(500)  # Plotly takes clicks when it has drawn
        plot.scroll_into_view_if_needed()
        box = plot.locator(".nsewdrag").first.bounding_box()
        x, y = box["x"] + across * box["width"], box["y"] + down * box["height"]
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(300)
        self.page.mouse.click(x, y)

    def until(self, true: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until something is so."""
        end = time.monotonic() + timeout
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f"not so after {timeout:.0f} s; the page says: {self._text()}")
            self.page.wait_for_timeout(50)

    def picture(self, name: str) -> None:
        """Keep a picture of the panel, if they are asked for."""
        if "SCREENSHOTS" in os.environ:
            size = self.page.viewport_size
            self.page.set_viewport_size({**size, "height": 2600})  # all of the panel is in view
            self.page.wait_for_timeout(700)
            self.panel().screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")
            self.page.set_viewport_size(size)
            self.page.wait_for_timeout(300)

    def _all_run(self) -> bool:
        return bool(self.page.evaluate(f"{CELLS}.every((cell) => cell.executionCount)"))

    def _errors(self) -> list[str]:
        outputs = f"{CELLS}.flatMap((cell) => cell.outputs.toJSON())"
        errors = f"{outputs}.filter((each) => each.output_type === 'error')"
        return list(
            self.page.evaluate(f"{errors}.map((each) => `${{each.ename}}: ${{each.evalue}}`)")
        )

    def _text(self) -> str:
        return self.page.locator("body").inner_text()[:2000]


@contextmanager
def opened(
    address: str, notebook: str, width: int = 1280, height: int = 900, **options: Any
) -> Iterator[Page]:
    """A notebook opened in the system's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page(viewport={"width": width, "height": height}, **options)
            page.set_default_timeout(20_000)
            yield Page(page, address, notebook)
        finally:
            browser.close()
