"""Keep interventions in a file: what acts, how strongly, where, and on which tokens.

One safetensors file holds any list of `Add`, `Clamp`, `Ablate` and `Affine`, behind gates (`When`)
or not: the vectors and maps once each, and beside them, as JSON, what is done with them. Nothing in
it is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from operator import index
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.steering.affine import Affine, AffineMap
from workbench.steering.artifact import read_tensors, refusing_damage, write_tensors
from workbench.steering.gating import Condition, When
from workbench.steering.interventions import (
    Ablate,
    Add,
    ByRow,
    Clamp,
    Intervention,
    Steering,
    as_interventions,
    finite,
)
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector

SCHEMA = "steering-workbench/interventions/1"
Kind = type[Add] | type[Clamp] | type[Ablate] | type[Affine]
KINDS: dict[str, Kind] = {"add": Add, "clamp": Clamp, "ablate": Ablate, "affine": Affine}
GATED = "when"
ARTIFACTS: dict[str, type[SteeringVector] | type[AffineMap]] = {
    "vector": SteeringVector,
    "map": AffineMap,
}
Artifacts = list[SteeringVector | AffineMap]


def save_interventions(path: str | Path, interventions: Steering) -> Path:
    """Write interventions to one safetensors file, whole or not at all.

    Raises TypeError for `Custom` and whatever else is none of these: functions are not saved.
    Raises ValueError for a strength that is not finite.
    """
    held: Artifacts = []
    acts = [_to_record(one, held) for one in as_interventions(interventions)]
    tensors: dict[str, Tensor] = {}
    made: list[dict[str, str]] = []
    for i, artifact in enumerate(held):
        parts, about = artifact.to_parts()
        tensors.update({f"{i}.{name}": tensor for name, tensor in parts.items()})
        kind = next(name for name, cls in ARTIFACTS.items() if isinstance(artifact, cls))
        made.append({"kind": kind, **about})
    record = {"artifacts": json.dumps(made), "interventions": json.dumps(acts)}
    return write_tensors(path, SCHEMA, tensors, record)


def load_interventions(path: str | Path) -> list[Intervention]:
    """Read what `save_interventions` wrote, ready for `steer`, `generate` and `log_prob`.

    Raises FileNotFoundError, and ValueError for a file that is cut short or damaged, is not ours,
    or is of a newer schema or holds a kind that this version does not know.
    """
    tensors, record = read_tensors(path, SCHEMA, "intervention")
    with refusing_damage(path, "list of interventions"):
        made, acts = json.loads(record["artifacts"]), json.loads(record["interventions"])
        kinds = {one["kind"] for one in made}, set(_kinds_of(acts))
    _check_known(path, kinds[0], ARTIFACTS)
    _check_known(path, kinds[1], (*KINDS, GATED))
    with refusing_damage(path, "list of interventions"):
        held = [_artifact(i, about, tensors) for i, about in enumerate(made)]
        return [_from_record(one, held) for one in acts]


def _kinds_of(acts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The kinds of interventions, those behind gates too."""
    for one in acts:
        yield one["kind"]
        yield from _kinds_of(one["interventions"] if one["kind"] == GATED else ())


def _check_known(path: str | Path, kinds: set[str], known: Iterable[str]) -> None:
    """Raise ValueError for a file of a version that knows more."""
    unknown = sorted(map(str, kinds.difference(known)))
    if unknown:
        raise ValueError(
            f"{path} holds {unknown}, which this version does not know: it knows {', '.join(known)}"
        )


# ---- One of them ----


def _to_record(one: Intervention, held: Artifacts) -> dict[str, Any]:
    """An intervention as JSON; what it acts with is put into `held`, unless it is there."""
    if type(one) is When:
        condition = {
            **{name: getattr(one.condition, name) for name in ("threshold", "measure", "above")},
            "vector": _place(one.condition.vector, held),
            "positions": one.condition.positions.to_dict(),
        }
        inner = [_to_record(each, held) for each in as_interventions(one.intervention)]
        return {"kind": GATED, "condition": condition, "interventions": inner}
    kind = next((name for name, cls in KINDS.items() if type(one) is cls), None)
    if kind is None or not isinstance(one, ByRow):
        raise TypeError(
            f"{type(one).__name__} cannot be saved: a file keeps "
            f"{', '.join(cls.__name__ for cls in (*KINDS.values(), When))}, and no functions"
        )
    record: dict[str, Any] = {"kind": kind}
    for field in fields(KINDS[kind]):
        value = getattr(one, field.name)
        if field.name == one.acts_with:
            places = [_place(made, held) for made in one.each]
            record[field.name] = places if one.by_row else places[0]
        elif field.name == "positions":
            record[field.name] = Positions.of(value).to_dict()
        else:
            record[field.name] = _plain(field.name, value)
    return record


def _from_record(record: Mapping[str, Any], held: Artifacts) -> Intervention:
    if record["kind"] == GATED:
        asked = dict(record["condition"])
        vector, positions = dict(enumerate(held))[asked.pop("vector")], asked.pop("positions")
        if not isinstance(vector, SteeringVector) or not isinstance(asked.get("above"), bool):
            raise ValueError(f"a condition that is none: {record['condition']}")
        condition = Condition(vector, positions=Positions.from_dict(positions), **asked)
        return When(condition, [_from_record(each, held) for each in record["interventions"]])
    cls = KINDS[record["kind"]]
    made: dict[str, Any] = {}
    if set(record) != {"kind", *(field.name for field in fields(cls))}:
        raise ValueError(f"{record['kind']!r} with the fields {sorted(record)}")
    for name, value in record.items():
        if name == cls.acts_with:
            found = {i: one for i, one in enumerate(held) if isinstance(one, ARTIFACTS[name])}
            if isinstance(value, list):
                made[name] = tuple(None if i is None else found[i] for i in value)
            else:
                made[name] = found[value]
        elif name == "positions":
            made[name] = Positions.from_dict(value)
        elif name != "kind":
            made[name] = _plain(name, value)
    return cls(**made)


def _place(made: SteeringVector | AffineMap | None, held: Artifacts) -> int | None:
    """Where in `held` it is."""
    if made is None:
        return None
    for i, one in enumerate(held):
        if one is made:
            return i
    held.append(made)
    return len(held) - 1


def _artifact(
    i: int, about: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> SteeringVector | AffineMap:
    start = f"{i}."
    own = {name[len(start) :]: one for name, one in tensors.items() if name.startswith(start)}
    return ARTIFACTS[about["kind"]].from_parts(own, about)


def _plain(name: str, value: Any) -> Any:
    """A strength or layers as plain numbers: one, or several as a tuple; None for all layers.

    Raises TypeError or ValueError for anything else.
    """
    number = index if name == "layers" else _strength
    if value is None and name == "layers":
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(number(one) for one in value)
    return number(value)


def _strength(value: Any) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"a strength must be a number, got {value!r}")
    return finite(value)
