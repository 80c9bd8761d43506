"""A model's folder before anything is loaded: is it there, is it whole, does the recipe fit it?"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recipes.errors import Fault, RecipeError
from recipes.slots.spec import JSON
from trainer.recipe.sections import ModelSpec

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_POSITIONS = (
    "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length"
)  # fmt: skip
_OTHER_HEAD = re.compile(r"For(?!CausalLM$|ConditionalGeneration$)[A-Z]\w*$")  # of a class's name
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates/*.jinja")

LEFTOVERS = ("run.lock", "initial", "trainer")
"""What an interrupted `temper sft` or `temper reward` leaves in its output folder."""


def local_folder(path: str) -> Path | None:
    """The folder that `path` names; None for a hub name. Raises RecipeError for neither."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if not folder.exists() and _HUB_NAME.fullmatch(path):
        return None
    raise RecipeError.of(
        f"no model folder '{path}'",
        path="model.path",
        fix="give an existing folder in Hugging Face format, or a hub name `owner/name`; a "
        "recipe's own base model is made by `temper sft`",
    )


def model_folder(spec: ModelSpec) -> Path:
    """The local folder of the model; a hub name is fetched first, once.

    Raises RecipeError when there is no such model, or when the folder is not one.
    """
    folder = local_folder(spec.path)
    if folder is None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
        try:
            folder = Path(snapshot_download(spec.path, allow_patterns=wanted))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise RecipeError.of(
                f"model '{spec.path}' is neither a folder here nor could it be fetched ({error})",
                path="model.path",
                fix="check the name and the network, log in for a gated model, or give a folder",
            ) from error
    check_folder(folder, spec.context_length)
    return folder


def check_folder(folder: Path, context_length: int) -> None:
    """Raise RecipeError unless the folder holds a whole model of so many positions."""
    faults = [
        Fault(path="model.path", what=f"{folder} is not a model folder: no {what}", fix=fix)
        for patterns, what, fix in (
            (("config.json",), "config.json", "name the folder that save_pretrained wrote"),
            (_WEIGHTS, "weights (*.safetensors)", "an adapter alone is not a model: merge it"),
            (_TOKENIZER, "tokenizer", "save the tokenizer beside the model"),
        )
        if not _holds(folder, patterns)
    ]
    if faults:
        raise RecipeError(faults)
    config = _json(folder / "config.json")
    text = config.get("text_config")
    longest = positions_of(text if isinstance(text, dict) else config)
    if longest is not None and context_length > longest:
        raise RecipeError.of(
            f"context_length {context_length} is above the {longest} positions of {folder}",
            path="model.context_length",
            fix=f"set it to {longest} or less",
        )


def positions_of(config: Mapping[str, JSON]) -> int | None:
    """Positions that a config.json allows, under any of its names; None where it names none."""
    found = (config.get(name) for name in _POSITIONS)
    return next((number for number in found if isinstance(number, int) and number > 0), None)


def check_language_model(folder: Path) -> None:
    """Raise RecipeError where config.json tells that the folder is not a causal language model."""
    config = _json(folder / "config.json")
    kind = f"{folder} (model type {config.get('model_type', 'unknown')})"
    fix = "name the folder of a decoder-only language model with its head"
    if config.get("is_encoder_decoder") is True:
        raise RecipeError.of(
            f"{kind} is an encoder-decoder; prompt and response are one sequence of a decoder here",
            path="model.path",
            fix=fix,
        )
    saved_as = config.get("architectures")
    names = [name for name in saved_as if isinstance(name, str)] if saved_as else []
    if names and all(_OTHER_HEAD.search(name) for name in names):
        raise RecipeError.of(
            f"{kind} was saved as {names[0]}, which has no language model head",
            path="model.path",
            fix=fix,
        )


def check_chat_template(folder: Path) -> None:
    """Raise RecipeError unless a chat template lies beside the model."""
    config = folder / "tokenizer_config.json"
    inside = config.is_file() and _json(config).get("chat_template")
    if not inside and not _holds(folder, _TEMPLATES):
        raise RecipeError.of(
            f"the tokenizer of {folder} has no chat template",
            path="model.plain",
            fix="use a chat model, add a chat_template to the model folder, or set "
            "`model.plain: true` to prompt a base model with the bare text",
        )


def refuse_occupied(
    folder: Path, *, overwrite: bool, leftovers: Sequence[str] = (), path: str = ""
) -> None:
    """Raise RecipeError unless a model can be written to `folder` without loss of another file.

    path: setting that names the folder
    overwrite: whether a model that is there may be replaced; other files never are
    leftovers: names that the command itself leaves in a folder where it was interrupted
    """
    # Files of two models in one folder load as neither, and what was there may be all there is.
    is_model = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    is_model = is_model and not (folder / "checkpoints").exists()
    is_free = not folder.exists() or (
        folder.is_dir() and all(path.name in leftovers for path in folder.iterdir())
    )
    if not is_free and not (is_model and overwrite):
        raise RecipeError.of(
            f"{folder} already holds {'a model' if is_model else 'other files'}",
            path=path,
            fix="name a new folder"
            + (", or replace this one with --overwrite" if is_model else ""),
        )


@contextmanager
def path_of(setting: str) -> Iterator[None]:
    """Within it a fault of the model folder names the setting `critic.path`, not the policy's."""
    try:
        yield
    except RecipeError as error:
        faults = [replace(f, path=setting) if f.path == "model.path" else f for f in error.faults]
        raise RecipeError(faults) from error


def _json(file: Path) -> dict[str, JSON]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError.of(
            f"a file of the model '{file.parent}' cannot be read: {file.name}: {error!s:.300}",
            path="model.path",
            fix="copy or fetch the model again: the file is damaged, or was cut off",
        ) from error
    return found


def _holds(folder: Path, patterns: Sequence[str]) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in patterns)
