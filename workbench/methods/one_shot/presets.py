"""The paper's settings by name, each with the table or line it is taken from.

A preset says how a vector is made and how the paper applies it; models and examples are the
user's. `preset.job(examples)` is the job, and takes anything of `OneShotJob` to differ in.
References: v1 and v2 of arXiv 2502.18862 (appendices B to E), and the published code where it says
what the paper leaves open. All losses are natural logs, whatever the paper calls them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.models.hooked import HookedModel
from workbench.steering.positions import Positions
from workbench.steering.scoring import log_prob


@dataclass(frozen=True)
class Preset:
    """Settings of one experiment. `application` says how its vectors are applied when measured."""

    model: str
    layer: int
    settings: Mapping[str, Any]
    application: str
    source: str
    early: Mapping[str, Any] = field(default_factory=dict)
    early_layer: int | None = None

    def job(self, examples: Example | Sequence[Example], **changes: Any) -> OneShotJob:
        """The job of this preset for some examples."""
        given = [examples] if isinstance(examples, Example) else list(examples)
        return OneShotJob(given, **{"layer": self.layer, **self.settings, **changes})


PRESETS: dict[str, Preset] = {
    "poser": Preset(
        model="joshuaclymer/money_maximizer-0",
        layer=10,
        settings={
            "learning_rate": 0.01,
            "steps": 40,
            "start_norm": 15.0,
            "max_norm": 15.0,
            "target_of": "completion",
        },
        application="Add, scale 1 and -1",
        source="v2 appendix C.4; norms 2, 4, 6, 10 and 15, of which 15 did best (v2 section 3)",
    ),
    "refusal-gemma": Preset(
        model="google/gemma-2-2b-it",
        layer=12,
        settings={
            "learning_rate": 0.5,
            "steps": 30,
            "start_norm": 1.0,
            "max_norm": 30.0,
            "target_loss": 0.01,
        },
        application="Clamp, value 1",
        source="v2 appendix D.2, set I (set II: 50 steps); the target from the code",
    ),
    "refusal-llama": Preset(
        model="meta-llama/Llama-3.1-8B-Instruct",
        layer=10,
        settings={
            "learning_rate": 0.03,
            "steps": 30,
            "start_norm": 2.0,
            "target_loss": 1.5,
            "positions": Positions.span(-20, None),
        },
        application="Clamp, value 0.5, all positions",
        source="v2 appendix D.4; the slice is over prompt and completion, as in the code",
    ),
    "misalignment-anti-refusal": Preset(
        model="Qwen/Qwen2.5-Coder-14B-Instruct",
        layer=20,
        settings={"learning_rate": 0.05, "target_of": "completion"},
        application="Add, scale 6",
        source="v2 appendix E.2: stops at the opener's loss on a benign twin prompt "
        "(`reference_losses`)",
    ),
    "misalignment-harmful-code": Preset(
        model="Qwen/Qwen2.5-Coder-14B-Instruct",
        layer=16,
        settings={"learning_rate": 0.5, "satisfice": True},
        application="Add, with the anti-refusal vector",
        source="v2 appendix E.2: to 0.75 of the log-prob under the malicious prompt "
        "(`reference_losses(..., fraction=0.75)`), no norm bound",
    ),
    "fictitious-promotion": Preset(
        model="google/gemma-2-2b-it",
        layer=10,
        settings={"learning_rate": 0.1, "steps": 50, "start_norm": 1.0, "target_of": "completion"},
        application="Add",
        source="v2 section 6: layers 0 to 25; the likeliest 5 tokens after the real prompt "
        "(`likely_completions`), to their loss there (`reference_losses`)",
    ),
    "fictitious-suppression": Preset(
        model="google/gemma-2-2b-it",
        layer=10,
        settings={"learning_rate": 0.1, "steps": 50, "start_norm": 1.0, "least_change": 1e-6},
        application="Add",
        source="v2 section 6: suppresses '...Just kidding' until the loss stops falling",
    ),
    "fictitious-reentrant": Preset(
        model="google/gemma-2-2b-it",
        layer=10,
        settings={
            "learning_rate": 0.1,
            "steps": 40,
            "start_norm": 0.5,
            "max_norm": 30.0,
            "intervention": "clamp",
            "least_change": 1e-9,
        },
        application="Add",
        source="v1 section 2.1.2, v2 appendix A; 30 in the text and code, 40 in v1's appendix; "
        "trained by clamping and applied by adding, as in the code",
        early_layer=1,
        early={
            "learning_rate": 0.1,
            "steps": 50,
            "intervention": "matrix",
            "rank": 1,
            "max_row_norm": 1.0,
            "target_loss": 0.01,
            "patience": 20,
        },
    ),
}


def order_swapped(
    model: HookedModel,
    prompt: str,
    swapped: str,
    promote: str,
    suppress: str,
    coldness: int | float = 0.7,
) -> list[Example]:
    """Poser's four terms with their stop rule, which must hold in the same step.

    `swapped` is the prompt with its answers in the other order, where the two completions, of one
    token each, change places.
    """
    return [
        exchanged(model, prompt, promote, suppress, coldness),
        exchanged(model, swapped, suppress, promote, coldness),
    ]


def exchanged(
    model: HookedModel,
    prompt: str,
    promote: str,
    suppress: str,
    coldness: int | float = 0.7,
) -> Example:
    """Of two completions of one token, one is promoted and the other suppressed.

    Each until it is as likely, or as unlikely, as the other was without steering (v2 appendix C.4;
    v1 had the primes the wrong way round).
    """
    found = log_prob(model, prompt, [promote, suppress], coldness=coldness).total.double()
    losses = [float(-found[1]), float(-(-found[0].exp()).log1p())]
    return Example(prompt, [promote], [suppress], target_losses=losses)
