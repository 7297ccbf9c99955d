"""Tiny random models of several architectures, and the embedded model once a session.

They are bridges; where TransformerLens 3.9 is installed, they are `HookedTransformer`s.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is imported

# Before torch is imported anywhere: shapes written in the package are checked in tests.
from jaxtyping import install_import_hook

install_import_hook("workbench", "beartype.beartype")

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

TL3 = version("transformer-lens").startswith("3.")
WORDS = [f"w{i}" for i in range(90)]
CHAT_TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def make_tokenizer(folder: Path, bos: bool) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words; with `bos` it puts one before every text, as Llama's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "<s>", "</s>", "<unk>", "<user>", "<system>", "<assistant>"]
    vocab = {word: i for i, word in enumerate([*special, *WORDS])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def tiny_hf(kind: str, seed: int = 0) -> torch.nn.Module:
    """A random Hugging Face model of one architecture: 4 layers, 32 wide, 97 tokens."""
    import transformers as tf

    common = {"vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    }
    configs = {
        "llama": lambda: tf.LlamaConfig(num_key_value_heads=2, **sizes, **common),
        "qwen2": lambda: tf.Qwen2Config(num_key_value_heads=2, **sizes, **common),
        "qwen3": lambda: tf.Qwen3Config(num_key_value_heads=2, head_dim=8, **sizes, **common),
        "gemma2": lambda: tf.Gemma2Config(
            num_key_value_heads=2,
            head_dim=8,
            query_pre_attn_scalar=8,
            sliding_window=8,
            **sizes,
            **common,
        ),
        "gemma3": lambda: tf.Gemma3TextConfig(
            num_key_value_heads=2,
            head_dim=8,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"] * 2,
            **sizes,
            **common,
        ),
        "gpt_neox": lambda: tf.GPTNeoXConfig(**sizes, **common),
        "gpt2": lambda: tf.GPT2Config(n_embd=32, n_layer=4, n_head=4, n_positions=128, **common),
    }
    torch.manual_seed(seed)
    config = configs[kind]()
    config._attn_implementation = "eager"
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():  # larger weights than at initialization, so that edits are felt
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    return model


# TransformerLens 3.9 knows Gemma 3 by its hub names only.
ARCHITECTURES = ["llama", "gpt2", "qwen3", "gpt_neox", *([] if TL3 else ["gemma3"])]


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, PreTrainedTokenizerFast]:
    """Tokenizers with and without a BOS of their own."""
    return {
        bos: make_tokenizer(tmp_path_factory.mktemp(f"tokenizer-{bos}"), bos)
        for bos in (True, False)
    }


def wrap(hf_model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, **options):
    """The model as the hooked kind that the installed TransformerLens is tested with."""
    if TL3:
        from tests.hooked_transformer import from_hf
    else:
        from workbench.models import from_hf
    return from_hf(hf_model, tokenizer, **options)


def boot(kind: str, tokenizers: dict[bool, PreTrainedTokenizerFast], seed: int = 0):
    """A hooked tiny model; those of Llama's kind have a tokenizer that adds a BOS."""
    return wrap(tiny_hf(kind, seed), tokenizers[kind != "gpt2"], name=f"tiny-{kind}")


def all_modules(model) -> list[torch.nn.Module]:
    """The model's modules, and those of the Hugging Face model inside a bridge."""
    inner = getattr(model, "original_model", model)
    return list(dict.fromkeys([*model.modules(), *inner.modules()]))


def all_parameters(model) -> list[torch.nn.Parameter]:
    """The parameters of `all_modules`."""
    return [p for module in all_modules(model) for p in module.parameters(recurse=False)]


@pytest.fixture(params=ARCHITECTURES)
def any_model(request: pytest.FixtureRequest, tokenizers):
    """A tiny model of each architecture in turn, with its architecture's name."""
    model = boot(request.param, tokenizers)
    model.kind = request.param
    return model


@pytest.fixture
def tiny(tokenizers):
    """A tiny Llama."""
    return boot("llama", tokenizers)


@pytest.fixture(scope="session")
def embedded():
    """The embedded default model, shared by the session: leave it as you found it."""
    if TL3:
        from workbench.models.converted import load_packaged
        from workbench.models.known import KNOWN

        name = "smollm2-135m-instruct"
        return wrap(*load_packaged(KNOWN[name]), name=name)
    from workbench.models import load_model

    return load_model()


@pytest.fixture
def folder(tmp_path, tokenizers):
    """A Hugging Face folder with a tiny Llama."""
    path = tmp_path / "my-tiny-model"
    tiny_hf("llama").save_pretrained(path)
    tokenizers[True].save_pretrained(path)
    return path
