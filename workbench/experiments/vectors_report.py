"""A page about vectors that were saved: what they are, how they lie, what they promote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from workbench.analysis import cosine_geometry, spectrum, vector_lens
from workbench.figures import Report, draw_cosine_geometry, draw_spectrum, draw_vector_lens
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector, VectorSet
from workbench.steering.formats import read_vectors

MOST_LENSES = 12


def read_all(paths: Iterable[str | Path]) -> VectorSet:
    """The vectors of files and folders of any format, in the order given.

    Raises FileNotFoundError for what is not there, and ValueError for what holds no vectors.
    """
    found = [vector for path in paths for vector in read_vectors(path)]
    if not found:
        raise ValueError("there are no vectors to report on")
    return VectorSet(found)


def vectors_report(vectors: VectorSet, model: HookedModel | None = None) -> Report:
    """Geometry and provenance; with the model they were made on, the tokens that they promote.

    Raises ValueError for vectors that do not fit the model.
    """
    held: Sequence[SteeringVector] = list(vectors)
    layers = sorted({layer for vector in held for layer in vector.layers})
    report = Report(
        "Steering vectors",
        f"{len(held)} vectors, layer{'s' if len(layers) > 1 else ''} "
        f"{', '.join(map(str, layers))}, d_model {held[0].d_model}",
    )
    report.section("The vectors")
    report.table(vectors.to_frame(), "From their provenance.")
    if len(held) > 1:
        report.section("How they lie")
        geometry = cosine_geometry(held, order="clustered", across_layers=True)
        words = "Ordered so that neighbours are alike."
        if len(layers) > 1:
            words += " Layers differ, and with them their bases: compare such cosines with care."
        report.figure(draw_cosine_geometry(geometry), words)
        if len({vector.layer for vector in held}) == 1:
            report.figure(draw_spectrum(spectrum(held)), "Each vector scaled to norm 1.")
    if model is not None:
        report.section("What they promote by themselves")
        for vector in held[:MOST_LENSES]:
            vector.check_model(model)
            report.figure(
                draw_vector_lens(vector_lens(model, vector)),
                "Through the unembedding, without the blocks between.",
            )
        if len(held) > MOST_LENSES:
            report.text(f"The first {MOST_LENSES} of {len(held)} vectors are shown.")
    for vector in held:
        report.details(f"Provenance of {vector.label or 'a vector'}", asdict(vector.provenance))
    return report
