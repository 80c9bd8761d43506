"""A language model with a value head: hidden states in, the expected return of each state out.

A value model's folder is that of a token classifier in Hugging Face format, so a reward model
(a sequence classifier with one label) can start one, and any language model with a fresh head.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipes.errors import RecipeError
from trainer.models.backbone import hidden_states
from trainer.models.load import Gathered, load_pretrained
from trainer.models.served import check_served, is_whole
from trainer.ops.value_bins import bin_centres
from trainer.recipe.sections import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_RANGE = "value_bins_range"  # in a folder's config.json


class ValueHead(nn.Linear):
    """One number a state, or one logit a bin; zero at the start, computed in fp32."""

    def __init__(self, hidden: int, outputs: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(hidden, outputs, dtype=dtype)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden [N, H] -> [N, outputs] fp32."""
        return functional.linear(hidden.float(), self.weight.float(), self.bias.float())


class ValueModel(nn.Module):
    """The critic as the trainer calls it: packed tokens in, the head's outputs after each out."""

    def __init__(self, classifier: "PreTrainedModel", head: str, *, fresh: bool) -> None:
        """head: name of the classifier's output layer, a `ValueHead`; fresh: it says 0 of all"""
        super().__init__()
        self.fresh = fresh
        self.classifier = classifier
        self.head_name = head
        self.hidden_size: int = classifier.config.get_text_config().hidden_size

    def forward(
        self, token_ids: Tensor, position_ids: Tensor, lengths: list[int]
    ) -> tuple[Tensor, ...]:
        """(outputs [T, bins or 1],), fp32: what it says of the state after each token."""
        layers = self.classifier.base_model
        hidden = hidden_states(layers, token_ids, position_ids, lengths)
        return (self.classifier.get_submodule(self.head_name)(hidden),)


def load_value_model(spec: ModelSpec, outputs: int, gathered: Gathered) -> ValueModel:
    """The value model that lies in `spec.path`, or a language model's layers with a zero head.

    gathered: makes parameters whole where loading left each rank a part
    Raises RecipeError for a family of models without a token classifier, and for a head of another
    width.
    """
    from transformers import AutoModelForTokenClassification

    try:
        with _quiet():  # about the head that a language model lacks
            classifier, fresh = load_pretrained(
                spec, AutoModelForTokenClassification, num_labels=outputs
            )
    except RecipeError:  # of the folder: it says what is wrong there
        raise
    except (ValueError, RuntimeError) as error:
        raise RecipeError.of(
            f"no critic with {outputs} output(s) could be made of {spec.path}: {error}",
            path="critic.path",
            fix="name a language model, a reward model or an exported critic of a family for which "
            "transformers has a token classifier, with as many outputs as critic.bins (one "
            "without bins); or use backbone: shared",
        ) from error
    name = next(n for n, layer in classifier.named_children() if isinstance(layer, nn.Linear))
    loaded = dict(classifier.get_submodule(name).named_parameters())
    head = ValueHead(classifier.config.get_text_config().hidden_size, outputs, spec.torch_dtype)
    with gathered(list(loaded.values())), torch.no_grad():
        for key, parameter in loaded.items():
            if f"{name}.{key}" not in fresh:
                head.get_parameter(key).copy_(parameter)
    setattr(classifier, name, head)
    if is_whole(classifier):
        check_hidden(classifier)
    return ValueModel(classifier, name, fresh=f"{name}.weight" in fresh)


def check_hidden(classifier: "PreTrainedModel") -> None:
    """Compare the layers with their own forward pass on a few tokens; `check_served` says how."""
    layers = classifier.base_model

    def own(ids: Tensor) -> Tensor:
        hidden: Tensor = layers(input_ids=ids[None], use_cache=False).last_hidden_state
        return functional.rms_norm(hidden[0].float(), hidden.shape[2:])

    def ours(ids: Tensor, positions: Tensor, lengths: list[int]) -> Tensor:
        hidden = hidden_states(layers, ids, positions, lengths)
        return functional.rms_norm(hidden.float(), hidden.shape[1:])

    check_served(classifier, own, ours)


@contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def save_value_model(
    model: ValueModel,
    tensors: Mapping[str, Tensor],
    folder: Path,
    bins_range: tuple[float, float] | None = None,
) -> None:
    """A Hugging Face folder of a token classifier with these tensors.

    bins_range: what the head's bins stand for, kept in the folder for `bins_range_of`
    """
    config = deepcopy(model.classifier.config)
    if bins_range is not None:
        config.update({_RANGE: list(bins_range)})
    config.architectures = [type(model.classifier).__name__]
    with torch.device("meta"):
        empty = type(model.classifier)(config)
    empty.to(model.classifier.dtype).save_pretrained(folder, state_dict=dict(tensors))


def bins_range_of(model: ValueModel) -> tuple[float, float] | None:
    """The ends of its bins, where the folder that it came from says so."""
    said = model.classifier.config.to_dict().get(_RANGE)
    return None if said is None else (said[0], said[1])


def expected_value(outputs: Tensor, low: float, high: float) -> Tensor:
    """The number that the head's outputs [N, bins or 1] stand for -> [N], reward units.

    low, high: range of the bins; unused for a head with one output
    """
    if outputs.shape[1] == 1:
        return outputs.squeeze(1)
    centres = bin_centres(low, high, outputs.shape[1]).to(outputs)
    return outputs.softmax(1) @ centres
