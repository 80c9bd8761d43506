"""How DeepSpeed writes and reads its checkpoints: plain data only.

Its own engine pickles objects, such as the loss scaler, and lets the pickle run code when it is
read. Here objects that a resume does not need are left out, and everything is read by
`read_state`. Import this module only where DeepSpeed is installed.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import (
    CheckpointCommitInfo,
    CheckpointEngine,
)

from trainer.parallel.state_files import FileSeal, read_state, write_state

# The settings are the recipe's; the mappings serve a conversion to other numbers of ranks; the
# scaler of a loss that is never scaled has no state, and the running one is put back.
_LEFT_OUT = frozenset({"ds_config", "param_slice_mappings", "loss_scaler"})


class PlainCheckpointEngine(CheckpointEngine):  # type: ignore[misc]  # DeepSpeed ships no types
    """Replaces `engine.checkpoint_engine` of a DeepSpeed engine."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.name = "plain"
        self._optimizer = optimizer
        self._seals: dict[Path, FileSeal] = {}

    def take_seals(self) -> dict[Path, FileSeal]:
        """Of the files written since the last call."""
        seals, self._seals = self._seals, {}
        return seals

    def create(self, info: CheckpointCommitInfo) -> None:
        """Nothing to prepare."""

    def commit(self, info: CheckpointCommitInfo) -> bool:
        return True

    def save(self, state_dict: Mapping[str, object], path: str) -> None:
        self._seals[Path(path)] = write_state(_plain(state_dict), Path(path))

    def load(self, path: str, map_location: object = None) -> Any:
        """On the CPU, wherever DeepSpeed wants it: it copies from there."""
        state = read_state(Path(path))
        sharded = state.get("optimizer_state_dict")
        if sharded is not None:
            sharded["loss_scaler"] = self._optimizer.loss_scaler
        return state


def _plain(value: object) -> object:
    """Tensors and plain containers; an object that is neither is our defect or DeepSpeed's news."""
    match value:
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items() if key not in _LEFT_OUT}
        case torch.Size():
            return value
        case list() | set():
            return [_plain(inner) for inner in value]
        case tuple():
            return tuple(_plain(inner) for inner in value)
        case Enum():
            return value.value
        case None | bool() | int() | float() | str() | torch.Tensor() | torch.dtype():
            return value
    raise TypeError(f"DeepSpeed's state holds a {type(value).__name__}, which is not plain data")
