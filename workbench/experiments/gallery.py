"""The gallery: every figure of the workbench, made from one model in a few minutes.

It shows what the figures look like on real results; sample sizes are small, and nothing here is a
finding. The demo's vectors are used, one from each of its questions and some seeds; figures of
experiments come from small runs on the testbeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.analysis import (
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
from workbench.experiments.demo_report import GROUPS, add_rates, add_strength, add_vectors
from workbench.experiments.gallery_experiments import (
    SmallRuns,
    add_activations,
    add_decisions,
    add_methods,
    add_predictors,
    add_refusals,
    add_slopes,
)
from workbench.experiments.questions import UNSEEN, VALIDATION
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
    draw_position_map,
    draw_spectrum,
    draw_token_strip,
)
from workbench.methods import Example, random_vectors
from workbench.methods.one_shot import sweep_layers
from workbench.models import chat
from workbench.models.hooked import HookedModel, n_layers
from workbench.models.identity import record_of
from workbench.models.text import completion_ids
from workbench.steering import Add, generate, log_prob

PROMPTS, SETS, SEEDS = 12, 24, (0, 1)
PATCHED = 2  # prompts: heads and MLPs of every third layer are patched, one by one, both ways


def write_gallery(
    model: HookedModel,
    folder: str | Path,
    settings: DemoSettings | None = None,
    *,
    prompts: int = PROMPTS,
    sets: int = SETS,
    runs: SmallRuns | None = None,
    progress: bool = True,
) -> Path:
    """Make every figure and write `gallery.html`; returns its path.

    `prompts` are asked in each analysis, `sets` are the sizes of the sets of prompts that are told
    apart. `runs` are what experiments are run on, by default the testbeds.
    """
    settings = settings or DemoSettings(
        unseen=UNSEEN[:12], random_seeds=(0, 1, 2), answer_tokens=32
    )
    demo = run_demo(model, settings, progress)
    report = Report(
        "Every figure",
        f"{record_of(model).name} and testbeds made of the embedded model",
        lead=(
            "What the workbench draws, on real results from small runs: sample sizes are those "
            "of an example, and nothing here is a finding. The vectors make a chat model begin "
            f"its answers with “{settings.promoted}”."
        ),
    )
    report.section("What a vector does")
    add_rates(report, demo)
    add_strength(report, demo)
    report.section("Several vectors of one behaviour")
    add_vectors(report, demo)
    asked = [chat(model, question) for question in VALIDATION[:prompts]]
    _directions(report, model, demo, asked)
    _inside(report, model, demo, asked)
    _texts(report, model, demo)
    _layers(report, model, demo, asked, progress)
    add_activations(report, model, demo.run.vector, sets)
    report.section("Experiments")
    add_methods(report, model, settings, sets, progress)
    add_slopes(report, model, settings.layer, sets, progress)
    runs = runs or SmallRuns.of_testbeds()
    add_decisions(report, runs, progress)
    add_refusals(report, runs, progress)
    return report.save(Path(folder) / "gallery.html")


def _directions(report: Report, model: HookedModel, demo: DemoResult, asked: Sequence[str]) -> None:
    """How the vectors relate: by direction, by effect, and along the paths between them."""
    vectors = list(demo.vectors)
    report.figure(
        draw_spectrum(spectrum(vectors)),
        "Vectors from different questions and seeds, each scaled to norm 1.",
    )
    report.figure(
        draw_norms(relative_norms(model, vectors, asked)),
        "How much of the stream a vector is, where it is added.",
    )
    controls = list(random_vectors(vectors[0], 2))
    effects = effect_geometry(model, [*vectors, *controls], asked)
    from_ = [vector.label.partition(",")[0] for vector in vectors] + [""] * len(controls)
    report.figure(
        draw_effects(
            effects,
            kinds=[
                "one of them random"
                if not (from_[a] and from_[b])
                else "of one question"
                if from_[a] == from_[b]
                else "of two questions"
                for a, b in effects.pairs
            ],
        ),
        "Vectors that point elsewhere may do the same: their changes grow alike. Random ones of "
        "equal norm are the baseline.",
    )
    examples = [run.job.examples for run in (demo.run, *demo.other_runs)]
    paths = connectivity(model, vectors, examples)
    match = match_dictionary(demo.run.vector, model.W_U.T)  # type: ignore[attr-defined]
    report.figure(
        draw_dictionary(
            match,
            names={int(i): visible_token(model.tokenizer, int(i)) for i in match.features},
        ),
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
        model,
        demo.run.vector,
        asked[0],
        promoted,
        layers=range(demo.settings.layer, n_layers(model), 4),
    )
    report.figure(
        draw_position_map(where),
        "The vector's own layer is the lowest, its values act at later ones too; the log-prob of "
        "the promoted answer to an unseen question.",
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
            kinds={name: name if name in GROUPS else "control" for name in found},
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
    """The same vector made at some layers."""
    settings = demo.settings
    example = Example(chat(model, settings.training[0]), promote=[settings.promoted])
    runs = sweep_layers(
        model,
        example,
        range(1, n_layers(model), max(1, n_layers(model) // 7)),
        SEEDS,
        steps=settings.steps,
        optimizer="lbfgs",
        start="random",
        coldness=settings.coldness,
        max_norm=settings.max_norm,
        target_loss=settings.target_loss,
        progress=progress,
    )
    said = generate(model, asked[: len(asked) // 2 + 1], max_new_tokens=16, progress=False)
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
        f"Vectors of one question at {len(sweep.by_layer())} layers, {len(SEEDS)} random starts of "
        f"each; KL on {len(kept)} unsteered answers.",
    )
    add_predictors(report, sweep.to_frame())
