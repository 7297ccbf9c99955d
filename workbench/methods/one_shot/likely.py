"""What the model itself would most likely say, as targets for one-shot optimization.

The paper promotes, in its experiments on fictitious information, what the model says of a real
person: the completions are found by beam search after the real prompt, and trained for after
another one until they are as likely there. Its published search encodes the text anew at every
step; this one works on token ids from beginning to end. The plausibility constraint of a contrast
is that of contrastive decoding (Li et al., arXiv 2210.15097).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.cached import CachedForward
from workbench.models.hooked import HookedModel, device_of, undisturbed
from workbench.models.identity import facts_of
from workbench.models.text import check_context, completion_ids, prompt_ids
from workbench.steering.hooks import apply_edits
from workbench.steering.interventions import Intervention, Steering, as_interventions, rows_of
from workbench.steering.scoring import at_least_float32, log_prob


@dataclass(frozen=True)
class LikelyCompletion:
    """A completion that the model finds likely, with its log-probabilities in nats.

    `tokens` is what was searched and scored; where `stopped`, the last one is the end of the
    answer. `text` is what the tokens add to the prompt's text, special tokens written out.
    `retokenizes` says whether prompt and text together are cut into the same tokens again: only
    then does `Example(prompt, promote=[text])` train on them. `against_log_prob` is None where
    nothing was contrasted.
    """

    text: str
    tokens: tuple[int, ...]
    log_prob: float
    against_log_prob: float | None
    stopped: bool
    retokenizes: bool

    @property
    def score(self) -> float:
        """What it was ranked by, in nats: `log_prob`, less `against_log_prob` if there is one."""
        return self.log_prob - (self.against_log_prob or 0.0)


@torch.no_grad()
def likely_completions(
    model: HookedModel,
    prompt: str,
    against: str | None = None,
    k: int = 5,
    length: int = 5,
    *,
    coldness: int | float = 1.0,
    steering: Steering = (),
    against_steering: Steering = (),
    plausible: int | float = 0.1,
    beams: int | None = None,
    stop_at_end: bool = True,
    progress: bool = False,
) -> list[LikelyCompletion]:
    """The k likeliest completions of `prompt` that a beam search finds, best first.

    Ranked is Σ_i log P(y_i | prompt, y_<i), in nats, with P = softmax(coldness · logits) under
    `steering`. With `against`, another prompt, it is the contrast
    Σ_i [log P(y_i | prompt, y_<i) - log P(y_i | against, y_<i)]: what the prompt makes likelier.
    The second P is under `against_steering`; to contrast steered with unsteered, give the same
    prompt twice. A contrast alone would pick tokens that are rare after both, so only tokens at
    least `plausible` times as probable after `prompt` as the likeliest one there are considered
    (0: all of them). Without `against`, `plausible` has no effect.

    All have `length` tokens, but those that the model ends earlier: they keep their total and
    compete by it, and it is not divided by the length. `stop_at_end=False` takes ends for tokens
    like any other. `beams` unfinished ones are kept at each step (k if None), and an end counts if
    it is among the `beams` best of its step: one beam is greedy, more find completions that begin
    unlikely. Fewer than k come back where there are no more.

    What a contrast finds is what tells the prompts apart, which need not be what the model would
    say: look at `log_prob` too, or ask for more with `plausible`.

    Raises ValueError for bad numbers, for texts over the context, for steering of several rows,
    and for positions that count from the end of a text.
    """
    beams = k if beams is None else beams
    if k < 1 or length < 1 or beams < k:
        raise ValueError(
            f"k and length must be at least 1, and beams at least k; got k={k}, length={length}, "
            f"beams={beams}"
        )
    _check_coldness(coldness)
    if not 0 <= plausible <= 1:
        raise ValueError(f"plausible is a share of the likeliest token, 0 to 1; got {plausible}")
    contrasted = as_interventions(against_steering)
    if against is None and contrasted:
        raise ValueError(
            "against_steering steers the text that is contrasted: give `against` too (the prompt "
            "itself, to contrast steered with unsteered)"
        )
    readers = [_Reader(model, prompt, as_interventions(steering), length, coldness)]
    if against is not None:
        readers.append(_Reader(model, against, contrasted, length, coldness))
    stop = facts_of(model).stop_ids if stop_at_end else ()
    with undisturbed(model):
        found = _search(readers, beams, length, stop, plausible, progress)
    found.sort(key=lambda beam: -beam.score)
    return [beam.completion(model, prompt, stop) for beam in found[:k]]


def reference_losses(
    model: HookedModel,
    prompt: str,
    completions: str | Sequence[str],
    *,
    fraction: int | float = 1.0,
    coldness: int | float = 0.7,
    steering: Steering = (),
) -> tuple[float, ...]:
    """`fraction` times each completion's promotion loss after `prompt`, in nats.

    Made for `Example.target_losses` of another prompt: train until the completions are as likely
    there as they are here. Fraction 1 is the paper's for fictitious information (`prompt` is the
    real one, unsteered); emergent misalignment takes 0.75 (`prompt` asks for the bad answer and
    begins it, under an anti-refusal vector). `coldness` is that of the optimization's loss.

    Raises ValueError for bad numbers, and for what `log_prob` cannot score.
    """
    _check_coldness(coldness)
    if not (math.isfinite(fraction) and fraction > 0):
        raise ValueError(f"fraction must be a positive number, got {fraction}")
    if not completions:
        raise ValueError("there is no completion to take a loss of")
    scored = log_prob(model, prompt, completions, steering, coldness)
    # A sure token's log-prob may round to just above 0, and no loss is negative.
    return tuple(fraction * max(0.0, -total) for total in scored.total.tolist())


@dataclass(frozen=True)
class _Beam:
    """Tokens chosen so far, with their summed log-probs after each prompt that is read."""

    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = (0.0,)

    @property
    def score(self) -> float:
        """What beams are ranked by, in nats."""
        return self.log_probs[0] - sum(self.log_probs[1:])

    def completion(self, model: HookedModel, prompt: str, stop: Sequence[int]) -> LikelyCompletion:
        """The beam for users, with its text."""
        text = _text_after(model, prompt, self.tokens)
        try:
            retokenizes = completion_ids(model, prompt, text)[1] == list(self.tokens)
        except ValueError:  # merged with the prompt, or without a token
            retokenizes = False
        return LikelyCompletion(
            text=text,
            tokens=self.tokens,
            log_prob=self.log_probs[0],
            against_log_prob=self.log_probs[1] if len(self.log_probs) > 1 else None,
            stopped=self.tokens[-1] in stop,
            retokenizes=retokenizes,
        )


class _Reader:
    """One prompt with the beams after it: reads what may come next, a row a beam."""

    def __init__(
        self,
        model: HookedModel,
        prompt: str,
        interventions: Sequence[Intervention],
        length: int,
        coldness: int | float,
    ):
        ids = prompt_ids(model, prompt)
        check_context(model, len(ids) + length, f"the prompt with a completion of {length} tokens")
        if rows_of(interventions) not in (None, 1):
            raise ValueError(
                f"the interventions are made for {rows_of(interventions)} rows, but there is one "
                "prompt"
            )
        self._model, self._interventions, self._coldness = model, interventions, coldness
        self._prompt_length = len(ids)
        self._forward = CachedForward(model)
        self._new = torch.tensor([ids], device=device_of(model))
        self._seen = len(ids)

    def log_probs(self) -> Float[Tensor, "beam d_vocab"]:
        """Log-probs in nats of the token after each beam."""
        count = len(self._new)
        taken = [one.taking([0] * count) for one in self._interventions]
        edits = [edit for one in taken for edit in one.edits(self._model)]
        for edit in edits:
            if edit.when is not None:
                raise ValueError(
                    "a gate is decided while the prompt runs, and beams run on from it: search "
                    "under the intervention itself, or unsteered"
                )
            if edit.positions.needs_whole_text:
                raise ValueError(
                    f"{edit.positions} counts from the end of the text, which is not known while "
                    "searching: use Positions.last(k) for the end of the prompt"
                )
        mask = self._new.new_ones(count, self._seen)
        with apply_edits(self._model, edits, [self._prompt_length] * count, rows_of(taken)):
            read = self._forward(self._new, mask)
        return (self._coldness * at_least_float32(read)).log_softmax(-1)

    def take(self, rows: Int[Tensor, " beam"], tokens: Int[Tensor, " beam"]) -> None:
        """Go on with these of the beams, each with a token more."""
        self._forward.reorder(rows)
        self._new = tokens[:, None]
        self._seen += 1


def _search(
    readers: Sequence[_Reader],
    width: int,
    length: int,
    stop: Sequence[int],
    plausible: int | float,
    progress: bool,
) -> list[_Beam]:
    """Beam search: all that ended on the way, and the `width` best of full length."""
    running = [_Beam(log_probs=(0.0,) * len(readers))]
    ended: list[_Beam] = []
    for step in tqdm(range(length), desc="searching", disable=not progress):
        read = [reader.log_probs() for reader in readers]
        scores = _scores(read, running, plausible)
        ends = torch.isin(
            torch.arange(scores.shape[1], device=scores.device),
            torch.tensor(stop, dtype=torch.long, device=scores.device),
        )
        # An end has to be among the best of its step, so that a single beam is greedy.
        best = _best(scores, width)
        ended += [_grown(running, read, *spot) for spot in best if spot[1] in stop]
        going_on = _best(scores.masked_fill(ends, -math.inf), width)
        running = [_grown(running, read, *spot) for spot in going_on]
        if not running or step + 1 == length:
            break
        rows, tokens = torch.tensor(going_on, device=scores.device).unbind(-1)
        for reader in readers:
            reader.take(rows, tokens)
    return ended + running


def _scores(
    read: Sequence[Float[Tensor, "beam d_vocab"]], running: Sequence[_Beam], plausible: int | float
) -> Float[Tensor, "beam d_vocab"]:
    """Each beam's score with each token more; -inf for a token that is out of the question."""
    first = read[0]
    before = first.new_tensor([beam.score for beam in running])[:, None]
    if len(read) == 1:
        return before + first
    share = math.log(plausible) if plausible > 0 else -math.inf
    allowed = (first >= first.amax(-1, keepdim=True) + share) & first.isfinite()
    return (before + first - read[1]).masked_fill(~allowed, -math.inf)


def _best(scores: Float[Tensor, "beam d_vocab"], count: int) -> list[tuple[int, int]]:
    """Where the highest finite scores are, as (beam, token), best first."""
    top = scores.flatten().topk(min(count, scores.numel()))
    kept = top.indices[top.values > -math.inf].tolist()
    return [divmod(place, scores.shape[1]) for place in kept]


def _grown(running: Sequence[_Beam], read: Iterable[Tensor], row: int, token: int) -> _Beam:
    """A beam with one token more."""
    before = running[row]
    pairs = zip(before.log_probs, read, strict=True)
    return _Beam(
        tokens=(*before.tokens, token),
        log_probs=tuple(total + float(values[row, token]) for total, values in pairs),
    )


def _text_after(model: HookedModel, prompt: str, tokens: Sequence[int]) -> str:
    """The text that tokens add to a prompt's, special tokens written out.

    Some tokenizers drop the space before the first token they decode, hence the whole text.
    """

    def decode(ids: Sequence[int]) -> str:
        return model.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)

    head = prompt_ids(model, prompt)
    before, whole = decode(head), decode([*head, *tokens])
    return whole[len(before) :] if whole.startswith(before) else decode(tokens)


def _check_coldness(coldness: int | float) -> None:
    if not (math.isfinite(coldness) and coldness > 0):
        raise ValueError(f"coldness must be a positive number, got {coldness}")
