"""The spectrum's bars are the shares."""

import numpy as np
import pytest

from workbench.analysis.subspaces import Spectrum
from workbench.figures import draw_spectrum


def test_bars_are_the_shares():
    shares = np.array([0.7, 0.2, 0.1])
    spectrum = Spectrum(("a", "b", "c"), shares, np.eye(3), np.eye(3), 2.2, 2.9, 2.8, 3.0)
    figure = draw_spectrum(spectrum)
    assert list(figure.data[0].y) == pytest.approx([0.7, 0.2, 0.1])
    assert "effective rank 2.2" in figure.layout.meta["caption"]
