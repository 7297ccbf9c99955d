"""A figure from each draw function, of results with missing values where they can have them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from tests.figures import (
    test_attribution,
    test_comparison,
    test_connectivity,
    test_correlations,
    test_flips,
    test_layer_sweep,
    test_losses,
    test_position_map,
    test_rates,
    test_refusal,
    test_slopes,
    test_structure,
    test_tokens,
)
from tests.figures.test_geometry import geometry
from workbench.analysis.dictionary import DictionaryMatch
from workbench.analysis.effects import EffectGeometry
from workbench.analysis.heads import IndirectEffects
from workbench.analysis.logit_lens import LogitLens
from workbench.analysis.position_map import PositionMap
from workbench.analysis.structure import ActivationStructure
from workbench.analysis.subspaces import Spectrum
from workbench.evaluation import RelativeNorms, proportion

NAN = float("nan")


def lens(layers: int = 3, positions: int = 4, log_prob: float = -2.0, hits: int = 2) -> LogitLens:
    """A lens whose last position has no target."""
    shape = (layers, positions)
    rank = np.full(shape, 3)
    rank[:, :hits] = 0
    rank[:, -1] = -1
    by_cell = tuple((("<b>", "b"),) * positions for _ in range(layers))
    values = np.full(shape, log_prob)
    values[:, -1] = NAN
    return LogitLens(
        ("w<i>",) * positions,
        (*map(str, range(layers - 1)), "out"),
        by_cell,
        np.full((*shape, 2), 0.4),
        ("w9",) * (positions - 1) + ("",),
        rank,
        values,
        np.ones(shape),
        np.full(shape, NAN),
    )


def _position_map() -> PositionMap:
    found = test_position_map.found()
    found.alone[0, 0] = NAN
    return found


def _effects() -> EffectGeometry:
    cosines = np.linspace(-1, 1, 4 * 3 * 2).reshape(4, 3, 2)
    return EffectGeometry(
        ("a", "<i>b</i>", "a"), ((0, 1), (0, 2), (1, 2)), ("8", "9", "out", "logits"), cosines
    )


def _heads() -> IndirectEffects:
    values = np.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    values[:, 0, 0] = NAN
    return IndirectEffects((4, 5, 6), 4, values, -values, np.array([1.0, 3.0]))


def _structure() -> ActivationStructure:
    rows = [
        {"layer": layer, "group": group, "auc": 0.7, "low": 0.6, "high": 0.8, "shuffled": 0.6}
        for layer in (1, 2)
        for group in ("b", "<i>")
    ]
    table = pd.DataFrame(rows).assign(n=20)
    return ActivationStructure((1, 2), ("p",), ("a",), torch.zeros(1, 2, 3), table)


EXAMPLES = {
    "draw_attribution": lambda draw: draw(test_attribution.frame(1)),
    "draw_comparison": lambda draw: draw(
        test_comparison.rows(), test_comparison.random(), about="x", budget=0.1
    ),
    "draw_connectivity": lambda draw: draw(test_connectivity.found()),
    "draw_correlations": lambda draw: draw(test_correlations.FRAME),
    "draw_cosine_geometry": lambda draw: draw(geometry(4, "clustered", labels=["a"] * 4)),
    "draw_dictionary": lambda draw: draw(
        DictionaryMatch(
            "v",
            np.array([7, 3, 9]),
            np.array([0.8, -0.5, 0.2]),
            0.3,
            np.array([7, 3]),
            np.array([1.0, -0.4]),
            np.array([0.6, 0.9]),
        ),
        names={7: "dog", 3: "dog"},
    ),
    "draw_distributions": lambda draw: draw(
        {"a": [1.0, 2.0, NAN], "b": [None]}, measure="nats a token", title="t"
    ),
    "draw_dose": lambda draw: draw([-1, 0, 1], [proportion(1, 4), None, proportion(2, 4)]),
    "draw_effects": lambda draw: draw(_effects()),
    "draw_flips": lambda draw: draw(
        {"a": test_flips.FLIPS.to_frame(), "b": test_flips.FLIPS.to_frame()},
        kinds={"b": "control"},
    ),
    "draw_head_map": lambda draw: draw(test_attribution.frame()),
    "draw_indirect_effects": lambda draw: draw(_heads()),
    "draw_layer_strip": lambda draw: draw(test_rates.strip_frame(), unsteered=proportion(1, 24)),
    "draw_layer_sweep": lambda draw: draw(test_layer_sweep.sweep(), unsteered=-1.0),
    "draw_lens_change": lambda draw: draw(lens(), lens(log_prob=-1.0)),
    "draw_logit_lens": lambda draw: draw(lens()),
    "draw_losses": lambda draw: draw(
        [test_losses.Run([5.0, NAN, 1.0]), test_losses.Run([3.0])], target=0.5
    ),
    "draw_norms": lambda draw: draw(
        RelativeNorms(("a", "a"), (1, 2), (5.0, 20.0), (10.0,) * 2, (8.0,) * 2, (12.0,) * 2, 6)
    ),
    "draw_paths": lambda draw: draw(test_connectivity.found()),
    "draw_plane": lambda draw: draw(
        test_structure.plane(),
        [SimpleNamespace(values=torch.tensor([0.5, 0.0, 3.0]), layer=4, label="v")],
    ),
    "draw_position_map": lambda draw: draw(_position_map()),
    "draw_rates": lambda draw: draw({**test_rates.RATES, "missing": None}, test_rates.GROUPS),
    "draw_refusal_comparison": lambda draw: draw(test_refusal.comparison()),
    "draw_separation": lambda draw: draw(_structure()),
    "draw_slopes": lambda draw: draw(test_slopes.FRAME),
    "draw_spectrum": lambda draw: draw(
        Spectrum(
            ("a", "b", "c"), np.array([0.7, 0.2, 0.1]), np.eye(3), np.eye(3), 2.2, 2.9, 2.8, 3.0
        )
    ),
    "draw_token_strip": lambda draw: draw([" a", "b", "b"], [-1.0, NAN, 2.0]),
    "draw_vector_lens": lambda draw: draw(test_tokens.lens(["a", "a"], ["b", "a"])),
}
