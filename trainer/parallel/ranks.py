"""How the model lies over the ranks, and the processes that the ranks are.

    zero 0    every rank holds everything; the gradient is summed over the ranks (plain torch)
    zero 1    each rank keeps a part of the optimizer's state          (DeepSpeed, as all below)
    zero 2    ... and of the gradient
    zero 3    ... and of the weights, which are gathered layer by layer

The objective's weights are already those of the whole minibatch, so gradients are summed over
microbatches and ranks; nothing is ever divided by their number.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recipes.errors import RecipeError
from trainer.parallel.heartbeat import Heartbeat
from trainer.parallel.state_files import Seals
from trainer.recipe.sections import ShardingSpec

T = TypeVar("T")
_LOST = ("onnection closed by peer", "onnection reset", "Timed out waiting", "Broken pipe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What became of one optimizer step."""

    norm: float  # of the whole gradient, before clipping; nan or inf when skipped
    skipped: bool  # a loss or gradient was not finite: nothing moved, on any rank


class ParallelModule(Protocol):
    """A module over the ranks: its forward pass, its summed gradient, its update."""

    def __call__(self, *args: object) -> tuple[Tensor, ...]:
        """The module's forward pass; every rank must make the same number of calls."""
        ...

    def backward(self, total: Tensor) -> None:
        """Add this scalar's gradient to the sum; a non-finite scalar makes the sum non-finite."""
        ...

    def step(self, lr: float | None, critic_lr: float = 0.0) -> Update:
        """Sum over the ranks, clip, move the weights, drop the gradient.

        lr: None where the layers rest and only a value head learns
        critic_lr: rate of a value head inside the module
        """
        ...

    @property
    def whole(self) -> bool:
        """Whether this process holds every weight in full."""
        ...

    def gathered(self, parameters: Sequence[nn.Parameter]) -> AbstractContextManager[None]:
        """Within it the parameters are whole; all ranks enter together."""
        ...

    def save(self, folder: Path) -> Seals:
        """Write weights and optimizer; the seals of the files that this rank wrote."""
        ...

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote; no code is run that the files may hold."""
        ...


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The ranks, as seen from one of them; host messages travel on their own group (gloo)."""

    rank: int
    world_size: int
    device: torch.device
    group: dist.ProcessGroup | None  # None: one process, nobody to talk to
    heartbeat: Heartbeat | None = None

    @classmethod
    def start(cls, spec: ShardingSpec) -> "Processes":
        """Join the processes that torchrun, accelerate or deepspeed launched, if any did."""
        from accelerate import PartialState

        wait = timedelta(seconds=spec.timeout_s)
        try:
            state = PartialState(cpu=not torch.cuda.is_available(), timeout=wait)
        except (dist.DistNetworkError, dist.DistStoreError, ValueError) as error:
            names = ("MASTER_ADDR", "MASTER_PORT")
            host, port = (os.environ.get(name, f"<{name} not set>") for name in names)
            if "EADDRINUSE" in str(error) or "address already in use" in str(error).lower():
                raise RecipeError.of(
                    f"port {port} of {host}, where the ranks meet, is in use by another process",
                    fix="name a free port: --main_process_port of accelerate, --master-port of "
                    "torchrun, or MASTER_PORT",
                ) from error
            raise RecipeError.of(
                f"the ranks cannot meet at {host}:{port}: {str(error).splitlines()[0]:.200}",
                fix="start all ranks, and check that every node reaches this address",
            ) from error
        device = state.device if state.device.type == "cuda" else torch.device("cpu")
        if spec.zero and not dist.is_initialized():  # DeepSpeed, in a process nobody launched
            os.environ["LOCAL_RANK"] = "0"  # DeepSpeed insists on it, launched or not
            backend = "nccl" if device.type == "cuda" else "gloo"
            alone = dist.HashStore()  # type: ignore[attr-defined]  # a group of one, without ports
            dist.init_process_group(backend, store=alone, rank=0, world_size=1, timeout=wait)
        group = None
        if dist.is_initialized() and dist.get_world_size() > 1:
            group = dist.new_group(backend="gloo", timeout=wait)
        met = cls(
            rank=state.process_index,
            world_size=state.num_processes,
            device=device,
            group=group,
        )
        if group is None:
            return met
        beat = Heartbeat(met.rank, met.world_size, spec.heartbeat_s, met.broadcast)
        return replace(met, heartbeat=beat)

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def barrier(self) -> None:
        if self.group is not None:
            dist.barrier(group=self.group)

    def leave(self) -> None:
        """Part from the others, all at once: a rank that goes early can take the last ones down."""
        if self.group is not None:
            dist.barrier(group=self.group)
            if self.heartbeat is not None:
                self.heartbeat.stop()
            dist.destroy_process_group()

    def broadcast(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        if self.group is None:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of the ranks, on every rank."""
        if self.group is None:
            return [value]
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self.group)
        return [v for v in values if v is not None]

    def sum(self, value: Tensor) -> Tensor:
        """Sum of a CPU tensor over the ranks, in place, on every rank."""
        if self.group is not None:
            dist.all_reduce(value, group=self.group)
        return value


def lost_rank(error: RuntimeError) -> bool:
    """Whether an operation of all ranks failed because one of them is gone."""
    return isinstance(error, dist.DistError) or any(words in str(error) for words in _LOST)
