"""Steering Workbench: make, apply, measure and look at steering vectors.

The public names are loaded when they are first asked for (PEP 562), so that `import workbench`
is instant and a room's optional packages are needed only by those who use that room.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_ROOM_OF = {
    "chat": "models",
    "from_hf": "models",
    "load_model": "models",
    "known_models": "models",
    "Ablate": "steering",
    "Add": "steering",
    "Affine": "steering",
    "AffineMap": "steering",
    "Clamp": "steering",
    "Condition": "steering",
    "Custom": "steering",
    "Positions": "steering",
    "SteeringVector": "steering",
    "VectorSet": "steering",
    "When": "steering",
    "from_hub": "steering",
    "generate": "steering",
    "load_interventions": "steering",
    "log_prob": "steering",
    "orthogonalized": "steering",
    "push_to_hub": "steering",
    "save_interventions": "steering",
    "steer": "steering",
    "stream": "steering",
    "PRESETS": "methods.one_shot",
    "Balance": "methods.one_shot",
    "Example": "methods.one_shot",
    "Imitation": "methods.one_shot",
    "LargestChange": "methods.one_shot",
    "LeastNorm": "methods.one_shot",
    "Noise": "methods.one_shot",
    "OneShotJob": "methods.one_shot",
    "OneShotRun": "methods.one_shot",
    "likely_completions": "methods.one_shot",
    "melbo": "methods.one_shot",
    "optimize": "methods.one_shot",
    "optimize_batch": "methods.one_shot",
    "reentrant": "methods.one_shot",
    "reference_losses": "methods.one_shot",
    "sweep_layers": "methods.one_shot",
    "mean_difference": "methods",
    "random_vector": "methods",
    "random_vectors": "methods",
    "load_public_set": "testbeds",
    "load_testbed": "testbeds",
    "Study": "runs",
    "StudyFolder": "runs",
    "read_study": "runs",
    "run_study": "runs",
    "explore": "explorer",
}

__all__ = ["__version__", *_ROOM_OF]


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF:
        value = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOM_OF})
