"""What others take from the policy: weights for the engine, a folder for people."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from trainer.models.load import load_tokenizer
from trainer.parallel.ranks import ParallelModule, Processes
from trainer.policy.weights import (
    PolicyWeights,
    adapter_tensors,
    checkpoint_names,
    collected,
    save_adapter,
    save_model,
)
from trainer.recipe.sections import ModelSpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(kw_only=True)
class WeightExporter:
    """Gives a model's weights away, gathered first where each rank holds a part."""

    causal_lm: "PreTrainedModel"
    adapted: "PeftModel | None"  # the same model with its adapter, if it has one
    sharded: ParallelModule
    processes: Processes
    model: ModelSpec
    folder: Path  # that the model was loaded from
    adapters: Path | None  # for the adapter's versions; temporary when None
    _temporary: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def weights(self) -> PolicyWeights:
        """The weights for the engine; every rank calls, rank 0 uses what comes back.

        Whole weights are handed over as they are, without a copy; sharded ones are gathered to
        rank 0's CPU memory first.
        """
        whole, adapted, causal_lm = self.sharded.whole, self.adapted, self.causal_lm
        tensors = self._tensors
        adapter: Callable[[], dict[str, Tensor]] = self._adapter_tensors
        if not whole:
            gathered, gathered_adapter = tensors(), adapter() if adapted else {}
            tensors, adapter = (lambda: gathered), (lambda: gathered_adapter)
        if self.adapters is None and adapted is not None:
            self._temporary = tempfile.TemporaryDirectory(prefix="adapters-")
            self.adapters = Path(self._temporary.name)
        return PolicyWeights(
            folder=self.folder,
            shared_module=causal_lm if whole else None,
            tensors=lambda: checkpoint_names(causal_lm, tensors()),
            save_adapter=(lambda to: save_adapter(adapted, adapter(), to)) if adapted else None,
            adapters=self.adapters or Path(),
        )

    def export(self, folder: Path, *, merge: bool) -> None:
        """Write a Hugging Face folder with tokenizer; of an adapter, it alone unless `merge`."""
        alone = None if merge else self.adapted
        tensors = self._adapter_tensors() if alone else self._tensors()
        if self.processes.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            if alone:
                save_adapter(alone, tensors, folder)
            else:
                save_model(self.causal_lm, tensors, self.folder, folder)
            load_tokenizer(self.model).save_pretrained(folder)
        self.processes.barrier()

    def _tensors(self) -> dict[str, Tensor]:
        return collected(self.causal_lm, self.sharded, self.processes.is_main)

    def _adapter_tensors(self) -> dict[str, Tensor]:
        return adapter_tensors(self.causal_lm, self.sharded.gathered)
