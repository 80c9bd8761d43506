"""A tiny base model and its own character tokenizer, made from a recipe, with no download.

The tokenizer knows one token per character of `alphabet` and three special tokens; its chat
template writes `<|role|>text<|end|>` and opens the assistant's turn for generation.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.recipe.kinds import TinySpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3Config

END, USER, ASSISTANT, SYSTEM = "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"


CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make_tokenizer(alphabet: str, context_length: int) -> Any:
    """A fast tokenizer of single characters with a chat template; ids from 0, specials first."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [END, USER, ASSISTANT, SYSTEM, "<|unknown|>", *sorted(set(alphabet))]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<|unknown|>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END,
        unk_token="<|unknown|>",
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_config(spec: TinySpec, tokenizer: "PreTrainedTokenizerBase") -> "Qwen3Config":
    """The shape of the model, for the tokenizer's vocabulary."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.kv_heads,
        head_dim=spec.hidden // spec.heads,
        intermediate_size=spec.intermediate,
        max_position_embeddings=spec.context_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def make_tiny(spec: TinySpec, folder: Path, *, seed: int) -> None:
    """Write a randomly initialised model and its tokenizer to `folder`."""
    from transformers import Qwen3ForCausalLM

    tokenizer = make_tokenizer(spec.alphabet, spec.context_length)
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(tiny_config(spec, tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
