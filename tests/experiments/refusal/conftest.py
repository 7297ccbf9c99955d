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


@pytest.fixture
def requests(tiny, tokenizers):
    def prompt(request):
        return f"<user> {request} <assistant> "

    return Requests(
        tiny,
        boot("qwen3", tokenizers),
        prompt,
        frame(24),
        frame(8, 3),
        frame(8, 5),
        ["w60 w61 w62", "w63"],
    )
