"""A vector among the rows of a decoder dictionary, such as a sparse autoencoder's.

Its cosines with the rows, and the few rows that make most of it up (orthogonal matching pursuit).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor

from workbench.analysis.geometry import VectorLike, rows_of

_CHUNK = 16_384  # rows in float64 at a time: dictionaries have up to a million


@dataclass(frozen=True, eq=False)
class DictionaryMatch:
    """The rows nearest a vector, and its sparse fit.

    `features` and `cosines`: the rows of largest |cosine|, the largest first. `random_max` is the
    largest |cosine| with these rows that random vectors reach on average. `fitted` and
    `coefficients`: rows of unit norm and how much of each; `explained`: the share of the vector's
    squared norm that the first k of them explain.
    """

    label: str
    features: Int[np.ndarray, " top"]
    cosines: Float[np.ndarray, " top"]
    random_max: float
    fitted: Int[np.ndarray, " sparse"]
    coefficients: Float[np.ndarray, " sparse"]
    explained: Float[np.ndarray, " sparse"]

    def to_frame(self) -> pd.DataFrame:
        """One row a feature: feature, cosine."""
        return pd.DataFrame({"feature": self.features, "cosine": self.cosines})


def load_dictionary(path: str | Path, name: str | None = None) -> Float[Tensor, "row d_model"]:
    """Read a decoder's rows from a safetensors file; `name` says which tensor if there are several.

    Raises FileNotFoundError, and ValueError where it is not one matrix that can be told.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no dictionary at {path}")
    try:
        with safe_open(str(path), framework="pt") as held:
            names = list(held.keys())
            chosen = name or (names[0] if len(names) == 1 else "")
            if chosen not in names:
                raise ValueError(f"{path} holds {names}: say which is the decoder, name=…")
            rows = held.get_tensor(chosen)
    except SafetensorError as error:
        raise ValueError(f"{path} is cut short or not a safetensors file ({error})") from error
    if rows.ndim != 2:
        raise ValueError(f"{chosen!r} in {path} has shape {tuple(rows.shape)}, not (n, d_model)")
    return rows


def match_dictionary(
    vector: VectorLike,
    rows: Float[Tensor, "row d_model"],
    *,
    top: int = 10,
    sparse: int = 8,
    draws: int = 20,
    seed: int = 0,
) -> DictionaryMatch:
    """The rows nearest a vector, and the fit of `sparse` of them; rows of zeros are no features.

    Raises ValueError for rows of another width, and where fewer rows are given than asked for.
    """
    (label,), values = rows_of([vector])
    if rows.ndim != 2 or rows.shape[1] != values.shape[1]:
        raise ValueError(f"the rows are {tuple(rows.shape)}, the vector {values.shape[1]} wide")
    if min(top, sparse) < 1 or max(top, sparse) > len(rows):
        raise ValueError(f"top={top} and sparse={sparse} of {len(rows)} rows")
    unit = values[0] / np.linalg.norm(values[0])
    drawn = np.random.default_rng(seed).standard_normal((draws, len(unit)))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    every = _cosines(np.vstack([unit, drawn]), rows)
    order = np.argsort(-np.abs(every[0]))[:top]
    fitted, coefficients, explained = _pursue(unit, rows, sparse)
    return DictionaryMatch(
        label,
        order,
        every[0][order],
        float(np.abs(every[1:]).max(axis=1).mean()),
        fitted,
        coefficients * np.linalg.norm(values[0]),
        explained,
    )


def _cosines(
    units: Float[np.ndarray, "unit d_model"], rows: Float[Tensor, "row d_model"]
) -> Float[np.ndarray, "unit row"]:
    """Cosines with every row, 0 for rows of zeros."""
    found = []
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK].detach().cpu().double().numpy()
        norms = np.linalg.norm(some, axis=1)
        found.append((units @ some.T) / np.where(norms > 0, norms, np.inf))
    return np.concatenate(found, axis=1)


def _pursue(
    unit: Float[np.ndarray, " d_model"], rows: Float[Tensor, "row d_model"], count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orthogonal matching pursuit: the row nearest the residual joins, all are fitted anew.

    scikit-learn's wants the whole Gram matrix, or the rows in float64 at once; here they pass by.
    """
    chosen: list[int] = []
    explained, residual, weights = [], unit, np.zeros(0)
    held = np.zeros((0, len(unit)))
    for _ in range(count):
        length = np.linalg.norm(residual)
        if length < 1e-9:
            break
        near = np.abs(_cosines(residual[None] / length, rows)[0])
        near[chosen] = -1.0
        chosen.append(int(near.argmax()))
        row = rows[chosen[-1]].detach().cpu().double().numpy()
        held = np.vstack([held, row / (np.linalg.norm(row) or 1.0)])
        weights = np.linalg.lstsq(held.T, unit, rcond=None)[0]
        residual = unit - weights @ held
        explained.append(1.0 - float(residual @ residual))
    return np.array(chosen), weights, np.array(explained)
