"""The policy's weights as others take them: engines, checkpoints in Hugging Face format.

An adapter is never merged in place: merging and unmerging in bf16 drifts the frozen weights. It is
merged on a copy, one layer at a time.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainer.models.load import ADAPTER, Gathered
from trainer.parallel.ranks import ParallelModule

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


_KEPT = 8  # adapter folders that stay; an engine may still be asked for older versions


def full_tensors(causal_lm: "PreTrainedModel", gathered: Gathered) -> Iterator[tuple[str, Tensor]]:
    """Every weight by its name in the bare model, tied ones under each name, adapters merged.

    A yielded tensor is whole only until the next one is asked for, unless weights are whole anyway.
    Collective over the ranks where they are not.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    inside: set[nn.Module] = set()
    for name, module in causal_lm.named_modules():
        if module in inside:
            continue
        if isinstance(module, BaseTunerLayer):
            inside.update(module.modules())
            with gathered(list(module.parameters())):
                yield from _merged(name, module)
            continue
        own = dict(module.named_parameters(recurse=False))
        with gathered(list(own.values())):
            for short, parameter in own.items():
                yield _joined(name, short), parameter.detach()
        for short, buffer in module.named_buffers(recurse=False):
            if short not in module._non_persistent_buffers_set:
                yield _joined(name, short), buffer


def collected(
    model: "PreTrainedModel", sharded: ParallelModule, is_main: bool
) -> dict[str, Tensor]:
    """Full weights by the bare model's names; where they must be gathered, on rank 0 only."""
    named = full_tensors(model, sharded.gathered)
    if sharded.whole:
        return dict(named)
    kept = {}
    for name, tensor in named:  # every rank walks through, one keeps
        if is_main:
            kept[name] = tensor.cpu().clone()
    return kept


def _joined(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


def _merged(name: str, layer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A layer with its adapter added, on a copy, in fp32 until the end."""
    from peft.tuners.lora import LoraLayer

    assert isinstance(layer, LoraLayer), f"{name} has an adapter that is not LoRA"
    for short, parameter in layer.get_base_layer().named_parameters(recurse=False):
        tensor = parameter.detach()
        if short == "weight":
            with torch.no_grad():
                delta = layer.get_delta_weight(ADAPTER)
            tensor = (tensor.float() + delta.float()).to(tensor.dtype)
        yield _joined(name, short), tensor


def adapter_tensors(causal_lm: "PreTrainedModel", gathered: Gathered) -> dict[str, Tensor]:
    """The trained parts of a model with adapters, on the CPU, by the names of PEFT's files."""
    tensors = {}
    for name, parameter in causal_lm.named_parameters():
        if parameter.requires_grad:
            with gathered([parameter]):
                tensors[f"base_model.model.{name}"] = parameter.detach().cpu().clone()
    return tensors


def checkpoint_names(
    causal_lm: "PreTrainedModel", tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors as the model's published files name and cut them (experts, for one)."""
    from transformers.core_model_loading import revert_weight_conversion

    named: dict[str, Tensor] = revert_weight_conversion(causal_lm, dict(tensors))
    return named


@dataclass(frozen=True, kw_only=True)
class PolicyWeights:
    """One version of the weights; see `rollout.engines.WeightSource`."""

    folder: Path
    shared_module: nn.Module | None
    tensors: Callable[[], Mapping[str, Tensor]]  # by checkpoint name; rank 0 has them
    save_adapter: Callable[[Path], None] | None  # None: all weights are trained
    adapters: Path  # where adapter folders go

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Full weights by checkpoint name, adapters merged on a copy, tied head included."""
        yield from self.tensors().items()

    def adapter_folder(self, version: int) -> Path | None:
        """A folder of its own for each version: an engine must never mistake one for another."""
        if self.save_adapter is None:
            return None
        folder = self.adapters / f"policy-v{version:06d}"
        if not folder.exists():
            staging = self.adapters / f".saving-v{version:06d}"
            self.save_adapter(staging)
            staging.rename(folder)  # an engine never sees half an adapter
            older = sorted(p for p in self.adapters.glob("policy-v*") if p < folder)
            for old in older[: 1 - _KEPT]:
                shutil.rmtree(old)
        return folder


def save_adapter(adapted: "PeftModel", tensors: Mapping[str, Tensor], folder: Path) -> None:
    """A PEFT folder: the adapter's configuration and these tensors."""
    adapted.save_pretrained(
        str(folder),
        state_dict=dict(tensors),
        selected_adapters=[ADAPTER],
        save_embedding_layers=False,
    )


def save_model(
    causal_lm: "PreTrainedModel", tensors: Mapping[str, Tensor], source: Path, folder: Path
) -> None:
    """A Hugging Face folder with these tensors: configuration, weights, generation defaults."""
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=causal_lm.is_remote_code())
    with torch.device("meta"):
        empty = type(causal_lm)(config)
    if (source / "generation_config.json").exists():
        empty.generation_config = GenerationConfig.from_pretrained(source)
    empty.to(causal_lm.dtype).save_pretrained(folder, state_dict=dict(tensors))
