"""Claims for the tiny model; its parent is another random one."""

import pandas as pd
import pytest

from tests.conftest import boot
from workbench.experiments.fictitious import Claims

SIX = ("actor", "author", "athlete", "scientist", "politician", "musician")


def frame(count, start=0):
    """Two claims a person, the true one first."""
    people = [(f"w{10 + i + start}", SIX[i % 6], SIX[(i + 1) % 6]) for i in range(count)]
    rows = [
        (name, said, true, said != true) for name, true, other in people for said in (true, other)
    ]
    return pd.DataFrame(rows, columns=["person", "occupation", "true", "false"])


@pytest.fixture(params=["llama", "gemma2"])
def claims(request, tokenizers):
    """On two architectures, of which the second is the paper's."""
    words = {each: f"w{i}" for i, each in enumerate(SIX)}

    def prompt(person, occupation):
        # As in the testbed all end alike: at layer 0 there is no difference of means.
        return f"<user> {person} <assistant> {person} {words[occupation]} w30 "

    return Claims(
        boot(request.param, tokenizers),
        boot("qwen3", tokenizers),
        prompt,
        frame(8),
        frame(6, 20),
        frame(24, 40),
        phrases=("w1", "w2", "w3"),
    )
