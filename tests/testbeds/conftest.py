"""Tiny models are trained in float32, so that what should be equal is."""

import pytest

from workbench.testbeds import training


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch, request):
    if "embedded" not in request.keywords:
        monkeypatch.setattr(training, "bfloat16_is_fast", lambda device: False)
