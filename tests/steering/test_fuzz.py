"""Files damaged at random: each loader gives a clear error, or exactly what was written.

Nothing is executed, nothing hangs, memory does not grow. The slow run has thousands of cases a
loader and prints its figures.
"""

from __future__ import annotations

import gc
import json
import struct
import sys
import zipfile

import numpy as np
import psutil
import pytest
import torch

import workbench as wb
from tests.steering.watching import Watch, watched
from workbench.models.adapter import Adapter, load_adapter
from workbench.steering import Provenance
from workbench.steering.formats import read_vectors, write_vectors
from workbench.steering.storage import _to_record

EXTREMES = [struct.pack("<Q", n) for n in (0, 1, 2**31, 2**60, 2**63, 2**64 - 1)]
EXTREMES += [struct.pack("<I", n) for n in (0, 2**31, 2**32 - 1)]


def vector(layer=2, seed=0, label="one"):
    values = torch.randn(24, generator=torch.Generator().manual_seed(seed))
    about = Provenance("test", seed=seed, config={"a": [1, 2]}, examples=({"prompt": "p"},))
    return wb.SteeringVector(values, layer, about, label)


def affine_map():
    left, right = torch.randn(2, 2, 24, generator=torch.Generator().manual_seed(5))
    return wb.AffineMap(left, right, vector(), 2, label="m")


INTERVENTIONS = [
    wb.Add(vector(), scale=0.5, positions=wb.Positions.last(2)),
    wb.When(wb.Condition(vector(1, 3), 0.1), wb.Affine(affine_map())),
]


def of_vector(one):
    return one.values.numpy().tobytes(), one.layers, one.label, one.provenance.to_json()


def of_vectors(some):
    return [of_vector(one) for one in some]


def of_map(one):
    parts, about = one.to_parts()
    return {name: part.numpy().tobytes() for name, part in parts.items()}, about


def of_interventions(some):
    held = []
    acts = json.dumps([_to_record(one, held) for one in some])
    return acts, [of_vector(one) if hasattr(one, "values") else of_map(one) for one in held]


def formatted(path):
    return write_vectors([vector(2, 1, "a"), vector(4, 2, "b")], path)


# How each is written, read, and compared.
LOADERS = {
    "v.safetensors": (lambda path: vector().save(path), wb.SteeringVector.load, of_vector),
    "map": (lambda path: affine_map().save(path), wb.AffineMap.load, of_map),
    "interventions": (
        lambda path: wb.save_interventions(path, INTERVENTIONS),
        wb.load_interventions,
        of_interventions,
    ),
    "x.gguf": (formatted, read_vectors, of_vectors),
    "x.repeng.gguf": (formatted, read_vectors, of_vectors),
    "x.easysteer.gguf": (formatted, read_vectors, of_vectors),
    "x.pt": (formatted, read_vectors, of_vectors),
    "x.layers.pt": (formatted, read_vectors, of_vectors),
    "row.pt": (lambda path: write_vectors(vector(), path), read_vectors, of_vectors),
}


def damaged(whole, rng):
    """One of the ways in which a file is cut short, flipped, or mixed up."""
    content = bytearray(whole)
    at, length = (int(n) for n in rng.integers(0, len(whole), 2))
    run = int(rng.integers(1, 64))
    kind = int(rng.integers(0, 9))
    if kind == 0:
        return bytes(content[:at])
    if kind == 1:  # one bit
        content[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 2:  # several bits
        for place in rng.integers(0, len(whole), int(rng.integers(2, 9))):
            content[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 3:
        content[at : at + run] = rng.bytes(run)
    elif kind == 4:
        content[at : at + run] = bytes(run)
    elif kind == 5:  # a piece again, elsewhere
        content[at:at] = content[length : length + run]
    elif kind == 6:
        del content[at : at + run]
    elif kind == 7:  # a count that is none
        extreme = EXTREMES[int(rng.integers(0, len(EXTREMES)))]
        content[at : at + len(extreme)] = extreme
    else:
        content += rng.bytes(run)
    return bytes(content)


def outcome(read, path, watch):
    """What was read, or the words in which it was refused; any other error ends the test."""
    try:
        with watched(watch):
            return read(path), None
    except ValueError as error:
        return None, str(error)


def fuzz(name, folder, count, seed=0):
    """How many damaged files were refused and how many still gave what was written."""
    write, read, told = LOADERS[name]
    path = folder / name
    write(path)
    right, whole = told(read(path)), path.read_bytes()  # also loads what is loaded lazily
    rng, watch = np.random.default_rng(seed), Watch()
    refused = 0
    for case in range(count):
        content = damaged(whole, rng)
        path.write_bytes(content)
        found, error = outcome(read, path, watch)
        if error is None:
            assert told(found) == right, f"case {case} of seed {seed} gave something else"
            continue
        assert name in error, f"it does not name the file: {error}"
        assert 20 < len(error) < 2000, error[:3000]
        refused += 1
    assert watch.done == []
    return refused, count - refused, watch.slowest


@pytest.mark.parametrize("name", LOADERS)
def test_damage_ends_in_words_or_in_what_was_written(tmp_path, name):
    refused, right, _ = fuzz(name, tmp_path, 150)
    assert refused > 75
    assert refused + right == 150


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_thousands_of_damaged_files(tmp_path, name, capsys):
    process = psutil.Process()
    fuzz(name, tmp_path, 50)
    gc.collect()
    before, files = process.memory_info().rss, process.num_fds()
    refused, right, slowest = fuzz(name, tmp_path, 4000, seed=1)
    gc.collect()
    grown = (process.memory_info().rss - before) / 2**20
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: 4000 damaged files, {refused} refused, {right} as written, "
            f"slowest {slowest * 1e3:.0f} ms, memory {grown:+.1f} MiB\n"
        )
    assert refused > 2000
    assert grown < 64
    assert process.num_fds() <= files + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v.safetensors", "x.gguf", "row.pt"])
def test_every_length_and_every_bit(tmp_path, name, capsys):
    """Cut at each byte, and each of a file's bits flipped by itself."""
    write, read, told = LOADERS[name]
    path = tmp_path / name
    write(path)
    right, whole = told(read(path)), path.read_bytes()
    cases = [whole[:cut] for cut in range(len(whole))]
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        cases.append(bytes(flipped))
    watch, refused = Watch(), 0
    for content in cases:
        path.write_bytes(content)
        found, error = outcome(read, path, watch)
        refused += error is not None
        assert error is not None or told(found) == right
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {len(whole)} lengths and {8 * len(whole)} bits, {refused} refused, "
            f"{len(cases) - refused} as written, slowest {watch.slowest * 1e3:.0f} ms\n"
        )
    assert watch.done == []
    assert refused > len(whole)


def rewritten_pickle(whole, rng):
    """A PyTorch file with its pickle changed, and checksums that are right for it."""
    with zipfile.ZipFile(whole) as held:
        members = {name: held.read(name) for name in held.namelist()}
    out = whole.with_suffix(".new")
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            told = damaged(content, rng) if name.endswith("data.pkl") else content
            archive.writestr(name, told)
    return out.read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("count", [150, pytest.param(4000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["x.pt", "x.layers.pt"])
def test_changed_pickles_with_right_checksums_are_read_or_refused(tmp_path, name, count, capsys):
    """Whoever writes the checksums too may say any numbers, but nothing is executed."""
    path = formatted(tmp_path / "whole.pt" if name == "x.pt" else tmp_path / "whole.layers.pt")
    read_vectors(path)
    rng, watch, refused = np.random.default_rng(2), Watch(), 0
    target = tmp_path / name
    for _ in range(count):
        target.write_bytes(rewritten_pickle(path, rng))
        found, error = outcome(read_vectors, target, watch)
        refused += error is not None
        assert all(one.values.isfinite().all() for one in found or ())
    assert watch.done == []
    assert refused > count / 2
    if count > 1000:
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}: {count} changed pickles, {refused} refused, "
                f"slowest {watch.slowest * 1e3:.0f} ms\n"
            )


@pytest.mark.parametrize("count", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_adapters_are_read_or_refused(tmp_path, count):
    factors = {"model.layers.0.mlp.up_proj": (torch.ones(2, 8), torch.ones(8, 2))}
    folder = Adapter("parent", None, 4, factors, {"a": 1}).save(tmp_path)
    load_adapter(folder)
    rng, watch, refused = np.random.default_rng(3), Watch(), 0
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for _ in range(count):
            file.write_bytes(damaged(whole, rng))
            _, error = outcome(load_adapter, folder, watch)
            refused += error is not None
            assert error is None or "adapter" in error
        file.write_bytes(whole)
    assert watch.done == []
    assert refused > count / 2
