"""A folder of finished steps: a run that was killed goes on where it was.

Every step has a name and is done once: its table or its vectors are written whole, so what is there
is finished. The settings of the run stand beside, and a folder serves no others.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.files import write_text
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

SETTINGS = "settings.json"


class RunFolder:
    """The folder at `path`, made where it is missing, for a run with these `settings` (JSON).

    Raises ValueError where it holds a run with other settings, or what it holds is damaged.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        wanted = json.loads(json.dumps(settings))
        kept = self.path / SETTINGS
        if kept.is_file():
            found = _read_json(kept)
            if found != wanted:
                raise ValueError(
                    f"{self.path} holds a run with other settings ({_differing(found, wanted)}): "
                    "choose another folder, or delete this one"
                )
        else:
            write_text(kept, json.dumps(wanted, indent=2) + "\n")

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of a step: read if it is there, else made and kept.

        What is made and what is read are alike: columns of texts, numbers and truth values, None
        where there is none; the index is left out.
        """
        path = self.path / "tables" / f"{name}.jsonl"
        if not path.is_file():
            made = make()
            write_text(path, made.to_json(orient="records", lines=True, double_precision=15))
        try:
            text = path.read_text(encoding="utf-8")
            return pd.DataFrame([json.loads(line) for line in io.StringIO(text)])
        except (ValueError, OSError) as error:
            raise ValueError(f"{path} is damaged; delete it to make it again: {error}") from error

    def vectors(self, name: str, make: Callable[[], Iterable[SteeringVector]]) -> VectorSet:
        """The vectors of a step: read if they are there, else made and kept.

        They are written to a folder beside, which then takes the name.
        """
        path = self.path / "vectors" / name
        if not path.is_dir():
            made = VectorSet(make())
            path.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
            try:
                made.save(part)
                part.chmod(0o755)
                part.rename(path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        return VectorSet.load(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; choose another folder") from error


def _differing(found: Any, wanted: Mapping[str, Any]) -> str:
    """The names of the settings that differ."""
    known = found if isinstance(found, dict) else {}
    names = {
        name
        for name in {*known, *wanted}
        if (name in known) != (name in wanted) or known.get(name) != wanted.get(name)
    }
    return ", ".join(sorted(names))
