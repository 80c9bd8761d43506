"""Tiny random language models, made from a configuration in milliseconds.

    config("qwen3", tied=False)              the configuration alone
    random_model("llama")                    a float32 module in evaluation mode
    tiny_model(folder, "qwen2", tied=True)   the same, saved; returns the folder
    save_words(folder)                       a tokenizer beside it, for stop strings
    Source(model, folder)                    its weights as an engine takes them
    next_logprobs(model, ids)                what the model itself says of each token of `ids`

A folder holds weights and configuration; token ids are all that matters here.
Import them with `from tests.support.models import tiny_model`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

VOCABULARY = 40
END = 2  # the end token's id

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": END,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # large, so that next-token distributions are far from flat
}
_SMALL_HEADS = {"head_dim": 8, "query_pre_attn_scalar": 8}
_EXTRA: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 3, "head_dim": 8},
    "gemma2": {**_SMALL_HEADS, "sliding_window": 3, "attn_logit_softcapping": 2.0},
    "gpt_oss": {
        "head_dim": 8,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "sliding_window": 3,
    },  # attention sinks, and a mixture of experts
    "gemma3_text": {**_SMALL_HEADS, "sliding_window": 3, "sliding_window_pattern": 2},
}
WIDE = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
"""Changes that make heads as wide as vLLM's CPU attention needs them."""
ARCHITECTURES = (
    "llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral", "gpt_neox", "gpt_oss"
)  # fmt: skip


def config(arch: str, *, tied: bool = True, **changes: Any) -> PretrainedConfig:
    """The configuration of `arch`, a model type of transformers."""
    shape = {**_SHAPE, **_EXTRA.get(arch, {}), **changes}
    return AutoConfig.for_model(arch, tie_word_embeddings=tied, **shape)


def random_model(
    arch: str, *, tied: bool = True, seed: int = 0, attention: str = "eager", **changes: Any
) -> PreTrainedModel:
    """A module with random weights that depend on `seed` alone."""
    shape = config(arch, tied=tied, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            shape, attn_implementation=attention, dtype=torch.float32
        )
    return model.eval()


def tiny_model(
    folder: Path, arch: str = "qwen2", *, tied: bool = True, seed: int = 0, **changes: Any
) -> Path:
    """`random_model`, saved to `folder` in Hugging Face format."""
    random_model(arch, tied=tied, seed=seed, **changes).save_pretrained(folder)
    return folder


def save_words(folder: Path) -> None:
    """A tokenizer beside the model: token 7 is the word "w07", and so on."""
    words = WordLevel({f"w{i:02}": i for i in range(VOCABULARY)}, unk_token="w00")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words)).save_pretrained(folder)


@dataclass(kw_only=True)
class Source:
    """A `rollout.engines.WeightSource`; whole tensors unless `shared`."""

    model: PreTrainedModel
    folder: Path
    shared: bool = False
    adapter: Path | None = None

    @property
    def shared_module(self) -> nn.Module | None:
        return self.model if self.shared else None

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.state_dict().items()

    def adapter_folder(self, version: int) -> Path | None:
        return self.adapter


@torch.no_grad()
def next_logprobs(model: nn.Module, ids: Sequence[int], *, temperature: float = 1.0) -> Tensor:
    """Log-prob [len(ids) - 1] of each token after the first, from a plain forward."""
    tokens = torch.as_tensor(ids, dtype=torch.long)[None]
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float() / temperature
    return logits.log_softmax(-1).gather(-1, tokens[0, 1:, None]).squeeze(-1)
