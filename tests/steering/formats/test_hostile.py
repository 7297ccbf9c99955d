"""Files made to do harm: counts without end, tensors larger than the disk, code, deep nesting."""

from __future__ import annotations

import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from safetensors.torch import save_file

import workbench as wb
from tests.steering.watching import Watch, watched
from workbench.steering.formats import read_vectors, write_vectors
from workbench.steering.vector import SCHEMA

TYPES = {"u8": 0, "u32": 4, "string": 8, "array": 9}
DEEP = "[" * 200_000


@pytest.fixture
def refused(tmp_path):
    """That a file is refused in words within a second, and without doing anything."""

    def check(name, content, message, seconds=3.0):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        watch = Watch()
        with pytest.raises(ValueError, match=message) as caught, watched(watch, seconds):
            read_vectors(path)
        assert name in str(caught.value)
        assert watch.done == []

    return check


# ---- GGUF ----


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def header(*pairs, tensors=0, count=None):
    return struct.pack("<4sIQQ", b"GGUF", 3, tensors, len(pairs) if count is None else count) + (
        b"".join(pairs)
    )


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("controlvector")


def direction(*dims, offset=0, kind=0):
    """A file with one tensor that says to be of these sizes, at this place."""
    sizes = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    about = text("direction.2") + sizes + struct.pack("<IQ", kind, offset)
    return header(ARCHITECTURE, tensors=1) + about


def array(kind, length, rest=b""):
    return text("a") + struct.pack("<IIQ", TYPES["array"], TYPES[kind], length) + rest


@pytest.mark.parametrize(
    "content",
    [
        header(ARCHITECTURE, array("u8", 2**60)),
        header(ARCHITECTURE, array("string", 2**63)),
        header(ARCHITECTURE, array("array", 1, struct.pack("<IQ", TYPES["array"], 1) * 5000)),
        header(ARCHITECTURE, array("u8", 3000)),  # short enough, but not there
        header(ARCHITECTURE, count=2**63),
        header(ARCHITECTURE, tensors=2**63),
        header(struct.pack("<Q", 2**63) + b"general"),
        header(ARCHITECTURE, tensors=1) + text("direction.2") + struct.pack("<I", 2**32 - 1),
        direction(2**32, 2**32),
        direction(2**62),
        direction(8, offset=2**60),
        direction(8, offset=999),
        direction(8, kind=99),
        b"GGUF",
        b"",
    ],
)
def test_counts_of_gguf_files_are_not_believed(refused, content):
    refused("x.gguf", content, "holds no control vector that can be read")


def written(path, tensors, **texts):
    writer = GGUFWriter(path, "controlvector")
    for name, value in texts.items():
        writer.add_string(name.replace("__", "."), value)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


ONES = np.ones(8, np.float32)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"direction.-1": ONES}, "names no block"),
        ({"direction.": ONES}, "names no block"),
        ({"direction.1_0": ONES}, "names no block"),
        ({"direction.٣": ONES}, "names no block"),
        ({"direction.7": ONES, "direction.07": ONES * 2}, "both act at layer 8"),
        ({"direction.7": ONES, "direction.8": np.ones(4, np.float32)}, "different d_model"),
        ({"direction.7": ONES * np.nan}, "NaN or infinite"),
        ({"direction.7": np.ones(8, np.float64) * 1e300}, "NaN or infinite"),
        ({"direction.7": np.ones(8, np.int32)}, "is torch.int32"),
        ({"direction.7": np.ones((2, 4), np.float32)}, r"of shape \(2, 4\)"),
        ({"blk.0.attn_q.weight": ONES}, "which is no direction"),
        ({}, "needs at least one vector"),
    ],
)
def test_directions_that_are_none(refused, tmp_path, tensors, message):
    written(tmp_path / "x.gguf", tensors)
    refused("x.gguf", None, message)


@pytest.mark.parametrize(
    "records",
    [DEEP, "[]", '{"7": 1}', '{"7": {}}', '{"7": {"label": [], "provenance": "{}"}}', "{", "NaN"],
)
def test_records_of_gguf_files_that_are_none(refused, tmp_path, records):
    written(tmp_path / "x.gguf", {"direction.7": ONES}, steering_workbench__records=records)
    refused("x.gguf", None, "holds no control vector that can be read")


def test_a_file_of_ours_without_its_digest_is_refused(refused, tmp_path):
    """Otherwise one bit in the digest's name would let any other damage pass."""
    records = json.dumps({"7": {"label": "a", "provenance": wb.steering.Provenance("x").to_json()}})
    written(tmp_path / "x.gguf", {"direction.7": ONES}, steering_workbench__records=records)
    refused("x.gguf", None, "not what was written")
    path = wb.SteeringVector(torch.ones(8), 2).save(tmp_path / "x.safetensors")
    refused("x.safetensors", path.read_bytes().replace(b'"sha256"', b'"sha257"'), "is damaged")


def test_half_precision_of_other_tools_is_read(tmp_path):
    values = np.linspace(-1, 1, 8).astype(np.float16)
    written(tmp_path / "x.gguf", {"direction.7": values})
    (found,) = read_vectors(tmp_path / "x.gguf")
    assert torch.equal(found.values, torch.from_numpy(values).float())


# ---- PyTorch ----


def test_tensors_that_repeat_one_number_are_not_filled_in(refused, tmp_path):
    """10¹² numbers in a file of a kilobyte: copying them would end the process."""
    one = torch.ones(1)
    for name, held in {
        "x.pt": one.expand(10**12),
        "many.pt": one.expand(10**6, 10**6),
        "x.layers.pt": {3: one.expand(10**12)},
    }.items():
        torch.save(held, tmp_path / name)
        assert (tmp_path / name).stat().st_size < 10_000
        refused(name, None, "repeats what it holds")


def test_tensors_without_plain_numbers(refused, tmp_path):
    torch.save(torch.sparse_coo_tensor([[0]], [1.0], (10**12,)), tmp_path / "sparse.pt")
    refused("sparse.pt", None, r"sparse|could not be read")
    torch.save(torch.ones(10**12, device="meta"), tmp_path / "meta.pt")
    refused("meta.pt", None, r"meta|could not be read")
    torch.save(torch.ones(4) * float("inf"), tmp_path / "inf.pt")
    with pytest.raises(ValueError, match="NaN or infinite"):
        read_vectors(tmp_path / "inf.pt")
    torch.save(torch.ones(4, dtype=torch.complex64), tmp_path / "complex.pt")
    with pytest.raises(ValueError, match="no numbers of a stream"):
        read_vectors(tmp_path / "complex.pt")


def test_a_record_that_one_bit_made_a_folder_is_read_all_the_same(tmp_path):
    """PyTorch itself then gives what lies in the memory, and says nothing."""
    path = write_vectors(wb.SteeringVector(torch.arange(24.0), 0), tmp_path / "x.pt")
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"data/0")  # in the archive's directory, after 46 bytes about it
    start = whole.rindex(b"PK\x01\x02", 0, at)
    whole[start + 38] |= 0x10  # the attributes: a folder
    path.write_bytes(whole)
    (found,) = read_vectors(path)
    assert torch.equal(found.values, torch.arange(24.0))


def test_pieces_that_lie_over_each_other(refused, tmp_path):
    """A directory that names one piece many times: small on the disk, large in the memory."""
    path = write_vectors(wb.SteeringVector(torch.ones(512), 0), tmp_path / "x.pt")
    with zipfile.ZipFile(path, "a") as archive:
        first = next(each for each in archive.infolist() if each.filename.endswith("data/0"))
        for i in range(9):
            again = zipfile.ZipInfo(f"x/data/{i + 1}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = first.file_size
            archive.filelist.append(again)
        archive._didModify = True
    refused("x.pt", None, "lie over each other|could not be read")


def test_compressed_archives_are_not_unpacked(refused, tmp_path):
    """A bomb: two gigabytes of zeros in two megabytes."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x/data/0", "w", force_zip64=True) as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
        archive.writestr("x/data.pkl", b"")
    refused("x.pt", None, "it is compressed")


# ---- Our own ----


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": "x"}, "invalid literal"),
        ({"layers": ""}, "invalid literal"),
        ({"layers": "-1"}, "layer must be one index"),
        ({"layers": "2,2"}, "several distinct ones"),
        ({"layers": "9" * 10_000}, "limit"),
        ({"layers": None}, "it has no 'layers'"),
        ({"provenance": DEEP}, "recursion"),
        ({"provenance": "7"}, "no provenance record"),
        ({"provenance": "{}"}, "no provenance record"),
    ],
)
def test_metadata_that_is_none(refused, tmp_path, changed, message):
    path = tmp_path / "x.safetensors"
    tensors, record = wb.SteeringVector(torch.ones(4), 2).to_parts()
    about = {"schema": SCHEMA, **record, **changed}
    save_file(tensors, path, metadata={k: v for k, v in about.items() if v is not None})
    refused("x.safetensors", None, rf"damaged vector: .*{message}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"config": []},
        {"results": "x"},
        {"versions": 3},
        {"examples": {}},
        {"examples": [1]},
        {"method": None},
        {"seed": "0"},
        {"model": []},
        {"model": {"name": "x"}},
        {"other": 1},
    ],
)
def test_provenance_of_other_kinds_is_refused_when_it_is_read(refused, tmp_path, wrong):
    """Not later, where a table is made of it."""
    tensors, record = wb.SteeringVector(torch.ones(4), 2).to_parts()
    changed = json.dumps({**json.loads(record["provenance"]), **wrong})
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata={"schema": SCHEMA, **record, "provenance": changed})
    refused("x.safetensors", None, "no provenance record")


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**8) + b"{",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 200_000) + DEEP.encode(),
        b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_headers_of_safetensors_are_not_believed(refused, content):
    refused("x.safetensors", content, r"not a safetensors file|no vector file")
