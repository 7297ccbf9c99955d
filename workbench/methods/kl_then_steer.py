"""KL-then-steer: train the model first so that steering it costs less, then steer.

Stickland et al. 2024 (arXiv 2406.15518). Low-rank factors are trained on harmless text so that the
model under steering says what the model without it says:

    min_θ  E_{x, k ~ U[-c, c]}  KL( p_θ(· | x; k v) ‖ p(· | x) )

p is the untrained model, unsteered; one batch in eight is not steered (k = 0), so that the trained
model alone stays as it was, too. What steering does beyond harmless text is not trained away. The
divergence is the mean over tokens, in nats. Needs the extra `train` (peft).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from workbench.models.adapter import Adapter
from workbench.models.loading import bfloat16_is_fast
from workbench.models.low_rank import LINEAR, factors_of, low_rank, trained_parameters
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True)
class KtsSettings:
    """`scale` is c, in units of the vectors. `max_tokens` of each text are read.

    `KtsSettings.published()` has the paper's, for a model of 7 billion parameters.
    """

    scale: int | float = 1.0
    unsteered: int | float = 0.125
    steps: int = 100
    batch_size: int = 8
    learning_rate: int | float = 3e-4
    rank: int = 8
    alpha: int | float = 16
    max_tokens: int = 96
    modules: tuple[str, ...] = LINEAR
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("scale", "steps", "batch_size", "learning_rate", "rank", "max_tokens"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, got {value}")
        if not 0 <= self.unsteered < 1:
            raise ValueError(f"unsteered is a share of batches, 0 to 1, got {self.unsteered}")

    @classmethod
    def published(cls) -> KtsSettings:
        """Rank 128, 13,000 batches of 16 at 1e-5; layers 2 to 22 of Llama-2-7b-chat."""
        return cls(
            steps=13_000, batch_size=16, learning_rate=1e-5, rank=128, alpha=256, max_tokens=1024
        )


def kl_then_steer(
    hf_model: PreTrainedModel,
    tokenizer: Tokenizer,
    vectors: Sequence[SteeringVector],
    texts: Sequence[str],
    settings: KtsSettings | None = None,
    *,
    parent: str,
    parent_revision: str | None = None,
    progress: bool = True,
) -> Adapter:
    """Factors that make `vectors`, added together, change `texts` less.

    `hf_model` is not wrapped yet (`read_model` gives one) and is left as it was found;
    `load_adapted` makes a hooked model of the result. Texts are read as they stand, chat format and
    all. Each step's divergence is among the adapter's facts. Raises ValueError without vectors or
    texts, for a text of fewer than two tokens, and for a vector of another width.
    """
    settings = settings or KtsSettings()
    rows = _rows(tokenizer, texts, settings.max_tokens)
    if not vectors:
        raise ValueError("there is no vector to steer with")
    width = hf_model.config.hidden_size
    for vector in vectors:
        if vector.d_model != width:
            raise ValueError(
                f"{vector.label or 'a vector'} is {vector.d_model} wide, the model {width}"
            )
    found: list[float] = []
    with low_rank(
        hf_model,
        rank=settings.rank,
        alpha=settings.alpha,
        modules=settings.modules,
        seed=settings.seed,
    ) as wrapped:
        wrapped.eval()  # no dropout: both models are compared as they are used
        adam = torch.optim.AdamW(trained_parameters(wrapped), lr=settings.learning_rate)
        draws = list(_draws(len(rows), settings))
        bar = tqdm(draws, desc="training to be steered", unit="step", disable=not progress)
        for chosen, scales in bar:
            batch = [rows[i] for i in chosen]
            with wrapped.disable_adapter(), torch.no_grad():
                expected = _log_probs(hf_model, batch)
            with _steered(hf_model, vectors, scales):
                steered = _log_probs(hf_model, batch)
            divergence = (steered.exp() * (steered - expected)).sum(-1).mean()
            divergence.backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
            found.append(float(divergence.detach()))
            bar.set_postfix_str(f"KL {found[-1]:.4f} nats a token")
        factors = factors_of(wrapped)
    facts = {
        "method": "kl-then-steer",
        **asdict(settings),
        "layers": [list(vector.layers) for vector in vectors],
        "norms": [vector.norm for vector in vectors],
        "divergences": [round(each, 6) for each in found],
    }
    return Adapter(parent, parent_revision, settings.alpha, factors, facts)


def _rows(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[list[int]]:
    if not texts:
        raise ValueError("there is no text to train on")
    rows = [
        tokenizer(text, add_special_tokens=not _begun(tokenizer, text))["input_ids"][:most]
        for text in texts
    ]
    for text, row in zip(texts, rows, strict=True):
        if len(row) < 2:
            raise ValueError(f"a text needs two tokens or more, {text!r} has {len(row)}")
    return rows


def _begun(tokenizer: Tokenizer, text: str) -> bool:
    """Whether a text brings its own BOS, and gets no second one."""
    return bool(tokenizer.bos_token) and text.startswith(str(tokenizer.bos_token))


def _draws(
    count: int, settings: KtsSettings
) -> Iterator[tuple[list[int], Float[Tensor, " batch"]]]:
    """The texts of each step, none twice until all have been, and a scale for each of them."""
    generator = torch.Generator().manual_seed(settings.seed)
    waiting: list[int] = []
    for _ in range(settings.steps):
        while len(waiting) < settings.batch_size:
            waiting += torch.randperm(count, generator=generator).tolist()
        chosen, waiting = waiting[: settings.batch_size], waiting[settings.batch_size :]
        scales = (2 * torch.rand(len(chosen), generator=generator) - 1) * settings.scale
        steered = torch.rand((), generator=generator) >= settings.unsteered
        yield chosen, scales * steered


def _log_probs(
    hf_model: PreTrainedModel, rows: Sequence[Sequence[int]]
) -> Float[Tensor, "token d_vocab"]:
    """Log-probs after each token of each row, padding left out."""
    device = hf_model.device
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(
        device
    )
    lengths: Int[Tensor, " batch"] = torch.tensor([len(row) for row in rows], device=device)
    real = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
        logits = hf_model(tokens, attention_mask=real.long(), use_cache=False).logits
    return logits[real].float().log_softmax(-1)


def _blocks(hf_model: PreTrainedModel) -> nn.ModuleList:
    """The model's blocks: its one list of modules that is as long as it has layers."""
    count = hf_model.config.num_hidden_layers
    for module in hf_model.get_decoder().modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(hf_model).__name__} has no list of {count} blocks")


@contextmanager
def _steered(
    hf_model: PreTrainedModel, vectors: Sequence[SteeringVector], scales: Float[Tensor, " batch"]
) -> Iterator[None]:
    """Add each vector to its layers' inputs, scaled row by row."""
    blocks = _blocks(hf_model)

    def adding(values: Float[Tensor, " d_model"]) -> Callable[..., tuple[tuple, dict]]:
        def before_block(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            stream = args[0] if args else kwargs["hidden_states"]
            change = scales[:, None, None].to(stream) * values.to(stream)
            if args:
                return (stream + change, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": stream + change}

        return before_block

    with ExitStack() as stack:
        for vector in vectors:
            for layer in vector.layers:
                handle = blocks[layer].register_forward_pre_hook(
                    adding(vector.values), with_kwargs=True
                )
                stack.callback(handle.remove)
        yield
