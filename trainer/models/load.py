"""Loading the model, its tokenizer and its adapter."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from recipes.errors import RecipeError, shortened
from trainer.models.folder import check_language_model, model_folder
from trainer.recipe.sections import LoraSpec, ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER = "default"  # the one adapter's name inside PEFT


def load_model(spec: ModelSpec) -> "PreTrainedModel":
    """The causal language model in the spec's dtype, on the CPU, without adapter or dropout.

    Raises RecipeError where transformers has no such model, or the folder not all of its weights.
    """
    from transformers import AutoModelForCausalLM

    check_language_model(model_folder(spec))
    with language_model(spec.path):
        model, missing = load_pretrained(spec, AutoModelForCausalLM)
    if missing:
        raise RecipeError.of(
            f"{spec.path} has no weights for {len(missing)} parameters of "
            f"{type(model).__name__}, such as {min(missing)}: they would be random",
            path="model.path",
            fix="name a folder that was saved with its language model head, and is complete",
        )
    return model


@contextmanager
def language_model(path: str) -> Iterator[None]:
    """Within it, what transformers cannot load from `path` as a language model is refused."""
    try:
        yield
    except (RecipeError, json.JSONDecodeError):  # each with words for it elsewhere
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError) as error:
        raise RecipeError.of(
            f"transformers cannot load {path} as a causal language model: "
            f"{type(error).__name__}: {shortened(str(error).strip())}",
            path="model.path",
            fix="name a decoder-only language model that the installed transformers knows; a "
            "model with code in its folder needs `model.trust_remote_code: true`",
        ) from error


def load_pretrained(
    spec: ModelSpec, kind: Any, **config_changes: int
) -> tuple["PreTrainedModel", set[str]]:
    """A model of `kind` (one of transformers' Auto classes), and the weights the folder had not.

    It uses the packed attention where its configuration has nothing against it; `check_served` in
    `trainer.models.served` tries that.
    """
    from transformers import AutoConfig

    from trainer.models.served import use_packed_attention

    folder = model_folder(spec)
    remote = spec.trust_remote_code
    config = AutoConfig.from_pretrained(folder, trust_remote_code=remote, **config_changes)
    text = config.get_text_config()
    for name in [key for key in text.to_dict() if key.endswith(("dropout", "pdrop"))]:
        setattr(text, name, 0.0)  # the ratio to the sampler's log-probs must not be noise
    model, info = kind.from_pretrained(
        folder,
        config=config,
        dtype=spec.torch_dtype,
        trust_remote_code=remote,
        output_loading_info=True,
    )
    use_packed_attention(model)
    if spec.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model, set(info["missing_keys"])


def add_adapter(model: "PreTrainedModel", lora: LoraSpec) -> "PeftModel":
    """LoRA layers inside `model`, which stays the module to call; everything else is frozen."""
    adapted = _add_layers(model, lora, "CAUSAL_LM", "model.lora")
    if not isinstance(model.get_output_embeddings(), nn.Linear):
        raise RecipeError.of(
            "an adapter on the output layer",
            path="model.lora.target_modules",
            fix="leave the head out: log-probs are computed from its weight as it is",
        )
    return adapted


def add_value_adapter(layers: "PreTrainedModel", lora: LoraSpec) -> "PeftModel":
    """LoRA layers inside a value model's `layers`; the head above them stays trained in full."""
    return _add_layers(layers, lora, None, "critic.lora")


def _add_layers(
    model: "PreTrainedModel", lora: LoraSpec, task: str | None, path: str
) -> "PeftModel":
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type=task,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
    )
    try:
        adapted: PeftModel = get_peft_model(
            model, config, adapter_name=ADAPTER, autocast_adapter_dtype=False
        )
    except ValueError as error:  # PEFT's word for names that are not there
        raise RecipeError.of(
            f"no LoRA layer could be made: {error}",
            path=f"{path}.target_modules",
            fix="name linear layers of this model, or say all-linear",
        ) from error
    return adapted


def load_tokenizer(spec: ModelSpec) -> "PreTrainedTokenizerBase":
    """The tokenizer that lies beside the model."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        model_folder(spec), trust_remote_code=spec.trust_remote_code
    )
    return tokenizer


def same_vocabulary(spec: ModelSpec, other: ModelSpec) -> None:
    """Raise RecipeError, of the other's path, unless both tokenizers give every token one id."""
    ours, theirs = load_tokenizer(spec).get_vocab(), load_tokenizer(other).get_vocab()
    if ours != theirs:
        differ = sorted(t for t in ours.keys() | theirs.keys() if ours.get(t) != theirs.get(t))
        raise RecipeError.of(
            f"{other.path} and {spec.path} give {len(differ)} tokens different ids, "
            f"{differ[0]!r} for one",
            path="model.path",
            fix="use a model of the same family: it scores the policy's token ids",
        )


@contextmanager
def readable_model(path: str) -> Iterator[None]:
    """Within it, files of the model at `path` that cannot be read raise RecipeError."""
    from safetensors import SafetensorError

    try:
        yield
    except (json.JSONDecodeError, SafetensorError) as error:
        raise RecipeError.of(
            f"a file of the model '{path}' cannot be read: {type(error).__name__}: {error!s:.300}",
            path="model.path",
            fix="copy or fetch the model again: the file is damaged, or was cut off",
        ) from error


Gathered = Callable[[Sequence[nn.Parameter]], AbstractContextManager[None]]
