"""Loading the model, its tokenizer and its adapter."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from recipes.errors import Fault, RecipeError
from trainer.recipe.sections import LoraSpec, ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

ADAPTER = "default"  # the one adapter's name inside PEFT
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def model_folder(spec: ModelSpec) -> Path:
    """The local folder of the model; a hub name is fetched first, once.

    Raises RecipeError when there is no such model, or when the folder is not one.
    """
    folder = Path(spec.path).expanduser()
    if not folder.exists() and _HUB_NAME.fullmatch(spec.path):
        folder = _fetched(spec.path)
    if not folder.is_dir():
        raise RecipeError.of(
            f"no model folder '{spec.path}'",
            path="model.path",
            fix="give an existing folder in Hugging Face format, or a hub name `owner/name`; a "
            "recipe's own base model is made by `temper sft`",
        )
    faults = [
        Fault(path="model.path", what=f"{folder} is not a model folder: no {what}", fix=fix)
        for patterns, what, fix in (
            (("config.json",), "config.json", "name the folder that save_pretrained wrote"),
            (_WEIGHTS, "weights (*.safetensors)", "an adapter alone is no model: merge it first"),
            (_TOKENIZER, "tokenizer", "save the tokenizer beside the model"),
        )
        if not _holds(folder, patterns)
    ]
    if faults:
        raise RecipeError(faults)
    _check_context(spec, folder)
    return folder


@contextmanager
def path_of(section: str) -> Iterator[None]:
    """Within it a fault of the model folder names `<section>.path`, not the policy's."""
    try:
        yield
    except RecipeError as error:
        at = f"{section}.path"
        faults = [replace(f, path=at) if f.path == "model.path" else f for f in error.faults]
        raise RecipeError(faults) from error


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RecipeError.of(
            f"model '{name}' is neither a folder here nor could it be fetched ({error})",
            path="model.path",
            fix="check the name and the network, log in for a gated model, or give a folder",
        ) from error


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def _check_context(spec: ModelSpec, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    longest = config.get("text_config", config).get("max_position_embeddings")
    if longest is not None and spec.context_length > longest:
        raise RecipeError.of(
            f"context_length {spec.context_length} is above the {longest} positions of {folder}",
            path="model.context_length",
            fix=f"set it to {longest} or less",
        )


def load_model(spec: ModelSpec) -> "PreTrainedModel":
    """The causal language model in the spec's dtype, on the CPU, without adapter or dropout."""
    from transformers import AutoModelForCausalLM

    return load_pretrained(spec, AutoModelForCausalLM)[0]


def load_pretrained(
    spec: ModelSpec, kind: Any, **config_changes: int
) -> tuple["PreTrainedModel", set[str]]:
    """A model of `kind` (one of transformers' Auto classes), and the weights the folder had not.

    It uses the packed attention where every layer supports it; `trainer.models.backbone` pads
    otherwise.
    """
    from transformers import AutoConfig

    from rollout.attention import ATTENTION, supports

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
    if supports(model):
        model.set_attn_implementation(ATTENTION)
    else:
        log.warning(
            "%s does not take packed attention; sequences are padded to the longest of their "
            "microbatch instead, which is slower",
            type(model).__name__,
        )
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
            fix="use a model of the same family: it is asked about the policy's own token ids",
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
