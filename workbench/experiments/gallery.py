"""The gallery: every figure of the workbench, made from one model in a few minutes.

It shows what the figures look like on real results; sample sizes are small, and nothing here is a
finding. The demo's vectors are used, one from each of its questions and some seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.analysis import (
    activation_structure,
    attribute,
    attribute_sources,
    connectivity,
    effect_geometry,
    indirect_effects,
    layer_sweep,
    log_prob_outcome,
    logit_lens,
    match_dictionary,
    position_map,
    spectrum,
)
from workbench.analysis.vector_lens import visible_token
from workbench.evaluation import Reference, relative_norms, surprisal
from workbench.experiments.demo import DemoResult, DemoSettings, run_demo
from workbench.experiments.demo_report import demo_report
from workbench.experiments.questions import VALIDATION
from workbench.figures import (
    Report,
    draw_attribution,
    draw_connectivity,
    draw_dictionary,
    draw_distributions,
    draw_effects,
    draw_head_map,
    draw_indirect_effects,
    draw_layer_sweep,
    draw_lens_change,
    draw_logit_lens,
    draw_norms,
    draw_paths,
    draw_plane,
    draw_position_map,
    draw_separation,
    draw_spectrum,
    draw_token_strip,
)
from workbench.methods import Example
from workbench.methods.one_shot import sweep_layers
from workbench.models import chat
from workbench.models.hooked import HookedModel, n_layers
from workbench.models.text import completion_ids
from workbench.steering import Add, generate, log_prob
from workbench.testbeds import refusal

PROMPTS, SETS, SEEDS = 12, 24, (0, 1)
PATCHED = 2  # prompts: heads and MLPs of every third layer are patched, one by one, both ways


def write_gallery(
    model: HookedModel,
    folder: str | Path,
    settings: DemoSettings | None = None,
    *,
    prompts: int = PROMPTS,
    sets: int = SETS,
    progress: bool = True,
) -> Path:
    """Make every figure and write `gallery.html`; returns its path.

    `prompts` are asked in each analysis, `sets` are the sizes of the sets of prompts that are told
    apart.
    """
    demo = run_demo(model, settings, progress)
    report = demo_report(demo)
    asked = [chat(model, question) for question in VALIDATION[:prompts]]
    _directions(report, model, demo, asked)
    _inside(report, model, demo, asked)
    _texts(report, model, demo)
    _layers(report, model, demo, asked, progress)
    _activations(report, model, demo, sets)
    return report.save(Path(folder) / "gallery.html")


def _directions(report: Report, model: HookedModel, demo: DemoResult, asked: Sequence[str]) -> None:
    """How the vectors relate: by direction, by effect, and along the paths between them."""
    vectors = list(demo.vectors)
    report.section("Several vectors of one behaviour")
    report.figure(
        draw_spectrum(spectrum(vectors)),
        "Vectors from different questions and seeds, each scaled to norm 1.",
    )
    report.figure(
        draw_norms(relative_norms(model, vectors, asked)),
        "How much of the stream a vector is, where it is added.",
    )
    report.figure(
        draw_effects(effect_geometry(model, vectors, asked)),
        "Vectors that point elsewhere may do the same: their changes grow alike.",
    )
    examples = [run.job.examples for run in (demo.run, *demo.other_runs)]
    paths = connectivity(model, vectors, examples)
    report.figure(
        draw_dictionary(match_dictionary(demo.run.vector, model.W_U.T)),  # type: ignore[attr-defined]
        "Any matrix of directions serves as a dictionary, an autoencoder's decoder as well; here "
        "it is the unembedding, a feature for each token.",
    )
    report.figure(draw_connectivity(paths), "Losses of the first vector's own example.")
    report.figure(draw_paths(paths), "The same losses, point by point.")


def _inside(report: Report, model: HookedModel, demo: DemoResult, asked: Sequence[str]) -> None:
    """What the vector does inside the model."""
    steering, promoted = Add(demo.run.vector), demo.settings.promoted
    said = generate(model, asked, max_new_tokens=4, min_new_tokens=1, progress=False)
    kept = [
        (prompt, text)
        for prompt, text in zip(asked, said, strict=True)
        if completion_ids(model, prompt, text)[1][0]
        != completion_ids(model, prompt, promoted)[1][0]
    ]
    prompts, own = zip(*kept, strict=True)
    parts = attribute(model, prompts, promoted, own, steering).means()
    report.section("Inside the model")
    report.figure(
        draw_attribution(parts),
        "Where the logits of the promoted answer's first token come from, against those of the "
        "unsteered answer's.",
    )
    report.figure(draw_head_map(parts), "The same by head.")
    patched = indirect_effects(
        model,
        prompts[:PATCHED],
        promoted,
        own[:PATCHED],
        steering,
        layers=range(demo.settings.layer, n_layers(model), 3),
    )
    report.figure(draw_indirect_effects(patched), "One output at a time, at every position.")
    report.figure(
        draw_indirect_effects(patched, "needed"), "The other way round: what the change needs."
    )
    found = attribute_sources(model, demo.run.vector, prompts[0], promoted, own[0])
    report.figure(
        draw_token_strip(
            found.tokens,
            list(found.parts),
            unit="logits",
            title="From which tokens the vector acts",
        ),
        "The vector is added at every token; its effect on the logit difference is shared out by "
        "integrated gradients.",
    )
    lenses = {}
    for name, given in (("steered", [steering]), ("unsteered", [])):
        lens = logit_lens(model, asked[0], "", given, target=promoted)
        lenses[name], first = lens, max(0, len(lens.tokens) - 12)
        report.figure(
            draw_logit_lens(lens, first=first, title=f"Logit lens, {name}"),
            "The last tokens of an unseen question.",
        )
    report.figure(
        draw_lens_change(lenses["unsteered"], lenses["steered"], first=first),
        "The same tokens, what steering changes.",
    )

    where = position_map(
        model, demo.run.vector, asked[0], promoted, layers=range(1, n_layers(model), 6)
    )
    report.figure(
        draw_position_map(where),
        "The same values at other layers; the log-prob of the promoted answer to an unseen "
        "question.",
    )
    report.figure(draw_position_map(where, "without"), "What each position is needed for.")


def _texts(report: Report, model: HookedModel, demo: DemoResult) -> None:
    """How surprising the answers are to the unsteered model."""
    report.section("Answers under the unsteered model")
    found = {
        name: surprisal(model, demo.prompts, answers.texts)
        for name, answers in demo.conditions.items()
    }
    report.figure(
        draw_distributions(
            {name: list(each.per_token) for name, each in found.items()},
            measure="nats a token",
            title="Surprisal of the answers, by condition",
            texts={name: list(each.texts) for name, each in found.items()},
        ),
        "Every answer counts, whatever it begins with.",
    )
    prompt, text = next(
        (prompt, text)
        for prompt, text in zip(demo.prompts, demo.conditions["steered"].texts, strict=True)
        if text
    )
    scored = log_prob(model, prompt, text).token_log_probs[0]
    ids = completion_ids(model, prompt, text)[1]
    report.figure(
        draw_token_strip(
            [visible_token(model.tokenizer, i) for i in ids],
            (-scored).tolist(),
            title="A steered answer, token by token",
        ),
        "Under the unsteered model: what it would not have said stands out.",
    )


def _layers(
    report: Report, model: HookedModel, demo: DemoResult, asked: Sequence[str], progress: bool
) -> None:
    """The same vector made at every third layer."""
    settings = demo.settings
    example = Example(chat(model, settings.training[0]), promote=[settings.promoted])
    runs = sweep_layers(
        model,
        example,
        range(1, n_layers(model), 3),
        SEEDS,
        steps=settings.steps,
        optimizer="lbfgs",
        start="random",
        coldness=settings.coldness,
        max_norm=settings.max_norm,
        target_loss=settings.target_loss,
        progress=progress,
    )
    said = generate(model, asked, max_new_tokens=24, progress=False)
    kept = [i for i, text in enumerate(said) if text]
    reference = Reference.of(model, [asked[i] for i in kept], [said[i] for i in kept])
    promoted = [settings.promoted] * len(asked)
    sweep = layer_sweep(
        model,
        [run.vector for run in runs.runs],
        log_prob_outcome(model, asked, promoted),
        reference,
        progress=progress,
    )
    report.section("Layers")
    plain = float(log_prob(model, asked, promoted).mean.mean())
    report.figure(
        draw_layer_sweep(sweep, unsteered=plain),
        f"Vectors of one question at every third layer, {len(SEEDS)} random starts of each; KL on "
        f"{len(kept)} unsteered answers.",
    )


def _activations(report: Report, model: HookedModel, demo: DemoResult, sets: int) -> None:
    """Where requests lie in the stream."""
    data = refusal.data("train")
    groups = {
        name: [chat(model, text) for text in data[data["harmful"] == harmful]["request"][:sets]]
        for name, harmful in (("harmful requests", True), ("harmless requests", False))
    }
    layer = demo.settings.layer
    structure = activation_structure(model, groups)
    report.section("Activations")
    report.figure(
        draw_plane(structure.plane(layer), [demo.run.vector]), "At the last token of each request."
    )
    report.figure(
        draw_separation(structure),
        "A difference of means, learned on some requests, asked on others.",
    )
