"""The card of vectors on the Hugging Face hub: what they are, where from, how they are used.

Labels, prompts and settings are text of users and models: none of it becomes markup of the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from workbench.models.known import KNOWN
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

LIBRARY = "steering-workbench"
TAGS = ("steering-vector", "activation-steering", "interpretability")
MOST_EXAMPLES = 5
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_MARKUP = str.maketrans({sign: f"&#{ord(sign)};" for sign in "\\`*_[]()!|<>&#~$"})


def card_of(vectors: VectorSet, repo_id: str, license: str | None = None) -> str:
    """The card as Markdown with the hub's own header.

    `license` is one of the hub's names of licences ("mit", "apache-2.0").
    """
    from huggingface_hub import ModelCardData

    header = ModelCardData(
        library_name=LIBRARY, tags=list(TAGS), base_model=_base_models(vectors), license=license
    )
    first = vectors[0]
    parts = [
        f"---\n{header.to_yaml()}\n---",
        f"# {_plain(repo_id.split('/')[-1])}",
        _what(vectors),
        _table(vectors),
        "## How to use it",
        _fenced("\n".join(_usage(vectors, repo_id)), "python"),
        "`pip install steering-workbench`. The files hold numbers and text only; reading them runs "
        "no code, and their checksums are looked at.",
        "## Where it comes from" if len(vectors) == 1 else "## Where the first comes from",
        _origin(first),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---- Its parts ----


def _what(vectors: VectorSet) -> str:
    first = vectors[0]
    many = len(vectors) > 1
    model = first.provenance.model
    on = "" if model is None else f", made on `{_code(model.name)}` ({_code(model.dtype)})"
    named = f"{len(vectors)} steering vectors" if many else "A steering vector"
    return (
        f"{named} of {first.d_model} numbers{on}. A vector of layer L acts on the residual stream "
        "that enters block L, counted from 0 (`blocks.L.hook_resid_pre`): it equals the output of "
        "block L - 1."
    )


def _table(vectors: VectorSet) -> str:
    rows = [
        (
            vector.label or "unnamed",
            ", ".join(map(str, vector.layers)),
            f"{vector.norm:.3f}",
            vector.provenance.method,
            vector.provenance.positions,
            "" if vector.provenance.seed is None else str(vector.provenance.seed),
        )
        for vector in vectors
    ]
    titles = ("vector", "layer", "norm", "method", "positions", "seed")
    lines = [titles, ("---",) * len(titles), *(tuple(map(_plain, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _usage(vectors: VectorSet, repo_id: str) -> Iterable[str]:
    """What to type: load the model, load the vector, steer."""
    first = vectors[0]
    model = first.provenance.model
    name = "the model it was made on" if model is None else model.name
    chats = model is None or model.chat_template_hash is not None
    acts = "Clamp" if first.provenance.config.get("intervention") == "clamp" else "Add"
    prompt = 'wb.chat(model, "How do plants make food?")' if chats else '"Plants make food by"'
    yield "import workbench as wb"
    yield ""
    yield f"model = wb.load_model({json.dumps(name)})"
    yield f"vector = wb.from_hub({json.dumps(repo_id)})[0]"
    yield f"print(wb.generate(model, [{prompt}], wb.{acts}(vector)))"


def _origin(vector: SteeringVector) -> str:
    record = vector.provenance
    told = {
        "method": record.method,
        "model": None if record.model is None else record.model.name,
        "revision": None if record.model is None else record.model.revision,
        "weights": None if record.model is None else record.model.weight_processing,
        "made": record.created,
        "versions": ", ".join(f"{name} {one}" for name, one in record.versions.items()),
        **{name: value for name, value in record.results.items() if not isinstance(value, list)},
    }
    lines = [f"- {_plain(name)}: {_plain(value)}" for name, value in told.items() if value]
    examples = [dict(one) for one in record.examples[:MOST_EXAMPLES]]
    parts = ["\n".join(lines)]
    if examples:
        parts += [
            f"Examples, {len(examples)} of {len(record.examples)}:",
            _fenced(_json(examples), "json"),
        ]
    if record.config:
        parts += ["Settings:", _fenced(_json(dict(record.config)), "json")]
    return "\n\n".join(parts)


def _base_models(vectors: VectorSet) -> list[str] | None:
    """The hub ids of the models that the vectors were made on, as far as there are such."""
    found = []
    for vector in vectors:
        made_on = vector.provenance.model
        name = "" if made_on is None else made_on.name
        name = KNOWN[name].hub_id if name in KNOWN else name
        if _HUB_ID.fullmatch(name) and name not in found:
            found.append(name)
    return found or None


# ---- Text that is only text ----


def _plain(value: Any) -> str:
    """Text on one line in which nothing is markup."""
    return " ".join(str(value).split()).translate(_MARKUP)


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _fenced(text: str, language: str) -> str:
    """A block of code that its own text cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _json(value: list[Any] | Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)
