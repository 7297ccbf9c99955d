"""Requests to the tiny model; its parent is another random one."""

import pandas as pd
import pytest

from tests.conftest import boot
from workbench.experiments.refusal import Requests


def frame(count, start=0):
    return pd.DataFrame(
        {
            "request": [f"w{i + start} w{i + 2 * start + 1} w3" for i in range(count)],
            "harmful": [i % 2 == 0 for i in range(count)],
        }
    )


@pytest.fixture(params=["llama", "gemma2"])
def requests(request, tokenizers):
    """On two architectures, of which the second is the paper's."""
    model = boot(request.param, tokenizers)

    def prompt(text):
        return f"<user> {text} <assistant> "

    return Requests(
        model,
        boot("qwen3", tokenizers),
        prompt,
        frame(24),
        frame(8, 3),
        frame(8, 5),
        ["w60 w61 w62", "w63"],
    )
