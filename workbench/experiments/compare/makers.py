"""The methods by name: each makes what it can of a task at one layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from workbench.experiments.compare.made import (
    FEW,
    OWN,
    PAIRED,
    SHARES,
    Made,
    UnfitTaskError,
    in_stream,
    sets_of,
    stream_norm,
)
from workbench.experiments.compare.searched import ensembles, merged_sets
from workbench.experiments.compare.task import Item, Task, as_long
from workbench.methods import (
    BipoSettings,
    Example,
    KtsSettings,
    OneShotJob,
    Preference,
    act_add,
    at_blank_lines,
    bipo,
    caa,
    concept_edit,
    gradient_direction,
    guidance,
    kl_then_steer,
    linear_probe,
    mean_difference,
    optimize_batch,
    principal_component,
    reasoning_calibration,
)
from workbench.methods.caa import AFTER_PROMPT
from workbench.methods.one_shot import finished
from workbench.models.adapter import merge
from workbench.models.edited import edited_copy
from workbench.models.identity import facts_of
from workbench.models.text import prompt_ids
from workbench.steering import (
    Ablate,
    Add,
    Affine,
    Positions,
    SteeringVector,
    When,
    generate,
)
from workbench.steering.interventions import Steering

Maker = Callable[[Task, int, int], "list[Made]"]
PREFERRED, ONE_SHOT = 48, 3  # preferences, one-shot examples


def one_shot(task: Task, layer: int, seed: int) -> list[Made]:
    """Promotion on one item, from each of a few: the best on validation counts."""
    jobs = [
        OneShotJob(
            [Example(item.prompt, promote=[item.shows])],
            layer,
            steps=30,
            learning_rate=0.5,
            max_norm=15.0,
            target_loss=0.5,
            seed=seed + i,
            label=f"one-shot {i + 1}, layer {layer}",
        )
        for i, item in enumerate(_spread(task.train, ONE_SHOT))
    ]
    vectors = finished(optimize_batch(task.model, jobs, progress=False), jobs)
    return [Made(vector, 1, note=f"the best of {len(vectors)} examples") for vector in vectors]


def one_step(task: Task, layer: int, seed: int) -> list[Made]:
    """The gradient at one item, without a descent."""
    item = task.train[0]
    example = Example(item.prompt, promote=[item.shows])
    return [Made(gradient_direction(task.model, example, layer), 1)]


def means(task: Task, layer: int, seed: int) -> list[Made]:
    """The difference of means at the prompts' last token."""
    positive, negative = sets_of(task)
    (vector,) = mean_difference(task.model, positive, negative, layers=[layer])
    return [Made(vector, len(positive) + len(negative))]


def letters(task: Task, layer: int, seed: int) -> list[Made]:
    """CAA: at the answer's letter, added after the prompt.

    Without letters it is read at the last token of the items' two answers.
    """
    if task.letters:
        pairs = task.letters[:PAIRED]
        (vector,) = caa(task.model, pairs, layers=[layer])
        return [Made(vector, 2 * len(pairs), partial(Add, positions=AFTER_PROMPT))]
    if task.lettered:
        raise UnfitTaskError("one letter matches all of the task's training questions")
    items = task.train[:PAIRED]
    prompts = [item.prompt for item in items]
    (vector,) = mean_difference(
        task.model,
        prompts,
        prompts,
        positive_completions=[item.shows for item in items],
        negative_completions=[item.lacks for item in items],
        layers=[layer],
        positions=Positions.span(-1, None),
    )
    apply = partial(Add, positions=AFTER_PROMPT)
    return [Made(vector, 2 * len(items), apply, note="read at the answers' last tokens")]


def front(task: Task, layer: int, seed: int) -> list[Made]:
    """ActAdd: one pair of answers, at each prompt's first own tokens.

    Its strength is that of the longest of its differences.
    """
    item = task.train[0]
    answers = as_long(task.model, item)
    if answers is None:
        raise UnfitTaskError("its two answers cannot be made equally long in tokens")
    made = act_add(task.model, *answers, layer)
    longest = max(made.vectors, key=lambda vector: vector.norm)
    start = _shared_tokens(task) - 1  # both texts begin with one of them, and differ after it
    places = [Positions.span(start + place, start + place + 1) for place in made.places]

    def apply(vector: SteeringVector, scale: float) -> Steering:
        if torch.equal(vector.values, longest.values):
            return made.steering(scale, start)
        turned = turned_to(torch.stack([each.values for each in made.vectors]), vector.values)
        return [
            Add(replace(vector, values=values), scale, place)
            for values, place in zip(turned, places, strict=True)
        ]

    return [Made(longest, 2, apply, FEW)]


def turned_to(vectors: Float[Tensor, "n d"], to: Float[Tensor, " d"]) -> Float[Tensor, "n d"]:
    """The vectors, with their norms and angles, turned so that the longest points along `to`.

    The others go wherever that leads. A control for several vectors that belong together.
    """
    longest = int(vectors.norm(dim=-1).argmax())
    order = [longest, *(i for i in range(len(vectors)) if i != longest)]
    parts = torch.linalg.qr(vectors[order].double().T).R  # their lengths and angles alone
    others = [to.roll(i) for i in range(1, len(order))]
    frame = torch.linalg.qr(torch.stack([to, *others]).double().T).Q
    sign = torch.sign(parts[0, 0] * (frame[:, 0] @ to.double()))
    turned = torch.empty_like(vectors)
    turned[order] = (sign * frame @ parts).T.to(vectors)
    return turned


def reading(task: Task, layer: int, seed: int) -> list[Made]:
    """The first principal component of paired differences."""
    positive, negative = sets_of(task)
    count = min(len(positive), len(negative))
    (vector,) = principal_component(
        task.model, positive[:count], negative[:count], layers=[layer], seed=seed
    )
    return [Made(vector, 2 * count)]


def probe(task: Task, layer: int, seed: int) -> list[Made]:
    """A logistic probe's direction."""
    positive, negative = sets_of(task)
    (found,) = linear_probe(task.model, positive, negative, layers=[layer], seed=seed)
    return [Made(found.vector, len(positive) + len(negative))]


def affine(task: Task, layer: int, seed: int) -> list[Made]:
    """ACE: the component along the difference of means set to a value; 1 is the positive mean's."""
    positive, negative = sets_of(task)
    edit = concept_edit(task.model, positive, negative, layer)

    def apply(vector: SteeringVector, strength: float) -> Steering:
        return Affine(type(edit)(vector, edit.reference).at(strength))

    data = len(positive) + len(negative)
    return [Made(edit.direction, data, apply, OWN, in_stream=False)]


def ablation(task: Task, layer: int, seed: int) -> list[Made]:
    """The difference of means taken out of all that is written to the stream."""
    (made,) = means(task, layer, seed)
    return [Made(made.vector, made.data, lambda vector, _: Ablate(vector), (1.0,), in_stream=False)]


def preferences(task: Task, layer: int, seed: int) -> list[Made]:
    """BiPO, with a larger step than the paper's and fewer of them."""
    chosen = [Preference(each.prompt, each.shows, each.lacks) for each in task.train[:PREFERRED]]
    chosen = list(dict.fromkeys(chosen))
    settings = BipoSettings(learning_rate=0.05, epochs=4, warmup=2, seed=seed)
    vector = bipo(task.model, chosen, layer, settings, progress=False)
    return [Made(vector, 2 * len(chosen), note="4 epochs at a learning rate of 0.05")]


def guided(task: Task, layer: int, seed: int) -> list[Made]:
    """InferAligner: a sibling's vector behind a gate of the model's own."""
    if task.aligned is None:
        raise UnfitTaskError("the task has no sibling that shows the behaviour")
    positive, negative = sets_of(task)
    # The gate opens where the behaviour is lacking.
    found = guidance(task.model, task.aligned, negative, positive, [layer])
    vector, condition = -found.vectors[0], found.conditions[0]

    def apply(vector: SteeringVector, scale: float) -> Steering:
        return When(condition, Add(vector, scale))

    return [Made(vector, len(positive) + len(negative), apply)]


def trained_to_be_steered(task: Task, layer: int, seed: int) -> list[Made]:
    """KL-then-steer: the difference of means, on a model trained to bear it."""
    (made,) = means(task, layer, seed)
    texts = list(task.harmless["train"])
    answers = generate(task.model, texts, max_new_tokens=32, progress=False)
    longest = in_stream(task, made.vector, SHARES[-2])  # as far as it is likely to be steered

    def train(hf_model: PreTrainedModel) -> None:
        adapter = kl_then_steer(
            hf_model,
            task.model.tokenizer,
            [longest],
            [prompt + answer for prompt, answer in zip(texts, answers, strict=True)],
            KtsSettings(seed=seed),
            parent=facts_of(task.model).name,
            progress=False,
        )
        merge(hf_model, adapter)

    trained = edited_copy(task.model, train, "trained to be steered")
    note = f"trained on {len(texts)} harmless texts"
    return [Made(made.vector.rebind(trained), made.data, model=trained, note=note)]


def calibration(task: Task, layer: int, seed: int) -> list[Made]:
    """SEAL: execution against reflection and transition, added at blank lines of the answer.

    From half to three times as long as it is; the paper adds it once. Harmless text has few blank
    lines, so that its cost hardly tells how long is too long.
    """
    if not task.thoughts:
        raise UnfitTaskError("the task has no chains of thought, with blank lines to act at")
    prompts, reasonings = zip(*task.thoughts, strict=True)
    vector = reasoning_calibration(task.model, prompts, reasonings, layer)
    positions = at_blank_lines(task.model, vector).positions
    own = vector.norm / stream_norm(task, vector)
    return [
        Made(
            vector,
            len(task.thoughts),
            partial(Add, positions=positions),
            tuple(times * own for times in OWN),
            note=f"its own length is {own:.2g} of the stream's",
        )
    ]


METHODS: dict[str, Maker] = {
    "one-shot": one_shot,
    "one gradient step": one_step,
    "difference of means": means,
    "CAA": letters,
    "ActAdd": front,
    "reading vector (PCA)": reading,
    "linear probe": probe,
    "affine (ACE)": affine,
    "ablation": ablation,
    "BiPO": preferences,
    "InferAligner": guided,
    "KL-then-steer": trained_to_be_steered,
    "ensemble": ensembles,
    "merged sets": merged_sets,
    "SEAL": calibration,
}


def _shared_tokens(task: Task) -> int:
    """With how many tokens all prompts begin: a chat format's, or a BOS; at least one.

    Harmless ones besides, which have nothing else in common with the task's.
    """
    every = [*(item.prompt for item in task.train), *task.harmless["train"]]
    prompts = [prompt_ids(task.model, prompt) for prompt in every]
    alike = (len(set(tokens)) == 1 for tokens in zip(*prompts, strict=False))
    return max(1, sum(takewhile(bool, alike)))


def _spread(items: tuple[Item, ...], count: int) -> list[Item]:
    """A few items from all over."""
    step = max(1, len(items) // count)
    return list(items[::step][:count])
