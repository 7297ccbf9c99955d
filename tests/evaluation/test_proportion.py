from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.evaluation import proportion


def wilson(successes: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """The interval written out."""
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


@pytest.mark.parametrize(("successes", "n"), [(0, 24), (1, 24), (12, 24), (23, 24), (24, 24)])
def test_interval_is_wilsons(successes: int, n: int) -> None:
    p = proportion(successes, n)
    assert (p.low, p.high) == pytest.approx(wilson(successes, n), abs=1e-9)
    assert 0 <= p.low <= p.rate <= p.high <= 1
    assert p.confidence == 0.95


def test_published_values() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263 and 15 of 148.
    assert (proportion(81, 263).low, proportion(81, 263).high) == pytest.approx(
        (0.2553, 0.3662), abs=5e-5
    )
    assert (proportion(15, 148).low, proportion(15, 148).high) == pytest.approx(
        (0.0624, 0.1605), abs=5e-5
    )


def test_more_confidence_is_wider() -> None:
    assert proportion(5, 20, 0.99).high > proportion(5, 20, 0.95).high


def test_reads_well() -> None:
    assert str(proportion(23, 24)) == "23/24 (96%, 95% CI 80-99%)"
    assert str(proportion(0, 24, 0.9)).startswith("0/24 (0%, 90% CI 0-")


def test_frame_and_numpy_counts() -> None:
    frame = proportion(np.array([True, False, True]).sum(), np.int64(3)).to_frame()
    assert list(frame.columns) == ["successes", "n", "rate", "low", "high", "confidence"]
    assert frame.loc[0, ["successes", "n"]].tolist() == [2, 3]
    assert frame.loc[0, "rate"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (0, -1), (3, 2), (-1, 2)])
def test_bad_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"trial|successes"):
        proportion(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_bad_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        proportion(1, 2, confidence)
