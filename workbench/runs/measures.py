"""What is measured under a job's vector: a name for each measure that a study may ask for.

`log-prob`: of the completion after each prompt, nats a token. `kl`: from the unsteered model, nats
a token, on completions, or on the model's own answers to the prompts. `begins`: whether the answer
to each prompt begins with one of the openings. Completion and openings are, where they are not
given, what the job's example promotes (or else suppresses).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.evaluation import Reference, begins_as, cost
from workbench.models.hooked import HookedModel
from workbench.runs.job import StudyJob, canonical
from workbench.steering.generation import generate
from workbench.steering.interventions import Add, Clamp, Intervention
from workbench.steering.prepared import Prepared
from workbench.steering.vector import SteeringVector

Format = Callable[[str], str]
KNOWN: dict[str, tuple[str, ...]] = {
    "log-prob": ("prompts", "completion", "coldness"),
    "kl": ("prompts", "completions", "max_new_tokens"),
    "begins": ("prompts", "openings", "max_new_tokens"),
}
WORDS = {
    "log-prob": "log-prob, nats a token",
    "kl": "KL(unsteered ‖ steered), nats a token",
    "begins": "share of answers that begin as promoted",
}
_ANSWER_TOKENS = 32
ACTS = ("add", "clamp")


def acting(vector: SteeringVector, act: str, scale: float) -> Intervention:
    """The intervention that a vector is measured with: `scale` is a clamp's value, 0 ablates."""
    return Add(vector, scale) if act == "add" else Clamp(vector, scale)


def check_measure(name: str, asked: Mapping[str, Any], job: StudyJob) -> None:
    """Raise ValueError for a measure that there is not, or that lacks what it needs."""
    kind = asked.get("measure")
    if kind not in KNOWN:
        raise ValueError(f"measure must be one of {', '.join(KNOWN)}, got {kind!r}")
    unknown = sorted(set(asked) - {"measure", *KNOWN[str(kind)]})
    if unknown:
        raise ValueError(f"{kind!r} has no {unknown[0]!r}: it knows {', '.join(KNOWN[str(kind)])}")
    prompts = asked.get("prompts")
    if not prompts or isinstance(prompts, str) or not all(isinstance(p, str) for p in prompts):
        raise ValueError("prompts must be a list of at least one text")
    if kind == "kl" and len(asked.get("completions", prompts)) != len(prompts):
        raise ValueError(f"{len(asked['completions'])} completions for {len(prompts)} prompts")
    if kind == "log-prob" and "completion" not in asked and not _promoted(job):
        raise ValueError(f"give a completion: the example {job.example!r} promotes nothing")
    if kind == "begins" and "openings" not in asked and not _promoted(job):
        raise ValueError(f"give openings: the example {job.example!r} promotes nothing")


@dataclass(frozen=True, eq=False)
class Meter:
    """Measures under vectors on one model; what does not depend on the vector is kept."""

    model: HookedModel
    _kept: dict[str, Any] = field(default_factory=dict)

    def measure(
        self,
        asked: Mapping[str, Any],
        job: StudyJob,
        steering: Sequence[Intervention],
        chat: Format,
    ) -> list[float]:
        """One value a prompt (`log-prob`, `begins`) or completion (`kl`); `steering` may be ()."""
        prompts = [chat(prompt) for prompt in asked["prompts"]]
        kind = asked["measure"]
        if kind == "log-prob":
            completions = [asked.get("completion") or _promoted(job)[0]] * len(prompts)
            prepared = self._once(
                f"prepared {canonical(asked)}",
                [completions[0], job.layer],
                lambda: Prepared.of(self.model, prompts, completions, job.layer),
            )
            found = prepared.score(steering, asked.get("coldness", 1.0)).log_probs
            return [float(value) for value in found.mean]
        if kind == "kl":
            reference = self._once(
                f"reference {canonical(asked)}", [], lambda: self._reference(asked, prompts)
            )
            return list(cost(self.model, reference, steering).kl)
        openings = asked.get("openings") or _promoted(job)
        answers = generate(
            self.model,
            prompts,
            steering,
            max_new_tokens=asked.get("max_new_tokens", _ANSWER_TOKENS),
            progress=False,
        )
        return [float(begins) for begins in begins_as(answers, openings).begins]

    def unsteered(self, asked: Mapping[str, Any], job: StudyJob, chat: Format) -> list[float]:
        """The same without steering."""
        kind = asked["measure"]
        if kind == "kl":
            return [0.0] * len(asked["prompts"])
        # Log-probs are read from the layer on, and may differ in the last bit from layer to layer.
        about = [asked, _promoted(job), job.layer if kind == "log-prob" else None]
        return self._once(
            f"unsteered {canonical(about)}", [], lambda: self.measure(asked, job, (), chat)
        )

    def _reference(self, asked: Mapping[str, Any], prompts: list[str]) -> Reference:
        n = asked.get("max_new_tokens", _ANSWER_TOKENS)
        said = asked.get("completions") or generate(
            self.model, prompts, max_new_tokens=n, min_new_tokens=n, progress=False
        )
        return Reference.of(self.model, prompts, said)

    def _once(self, name: str, about: Any, make: Callable[[], Any]) -> Any:
        """What was made under this name for the same thing; else made, and kept in its place."""
        key = canonical(about)
        if name not in self._kept or self._kept[name][0] != key:
            self._kept[name] = (key, make())
        return self._kept[name][1]


def _promoted(job: StudyJob) -> list[str]:
    """What the job's first example promotes, or else suppresses."""
    first = job.texts[0]
    found = first.get("promote") or first.get("suppress") or []
    return [found] if isinstance(found, str) else list(found)
