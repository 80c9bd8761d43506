"""Every rank holds the whole model: plain torch, for one process or several."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainer.parallel.optimizer import MasterWeights, Optimizers, reset_idle_steps, set_rates
from trainer.parallel.ranks import Processes, Update
from trainer.parallel.state_files import Seals, read_state, write_state

_FILE = "replica.pt"
_BUCKET = 2**26  # elements summed over the ranks at once: 256 MB


class ReplicatedModule:
    """The module as it is; the gradient is summed over the ranks before each step."""

    def __init__(self, module: nn.Module, optimizers: Optimizers, processes: Processes) -> None:
        self.module = module.to(processes.device)
        self._processes = processes
        self._trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._masters = MasterWeights(list(self._trained.values()))
        self._max_norm = optimizers.max_grad_norm
        self._optimizer = optimizers.build(dict(zip(self._trained, self._masters.all, strict=True)))

    def __call__(self, *args: object) -> tuple[Tensor, ...]:
        said: tuple[Tensor, ...] = self.module(*args)
        return said

    def backward(self, total: Tensor) -> None:
        # The factor is 1, or NaN for a loss that is not finite: its gradient may yet be finite.
        (total * (1 + 0 * total.detach())).backward()  # type: ignore[no-untyped-call]

    def step(self, lr: float | None, critic_lr: float = 0.0) -> Update:
        gradients = self._summed()
        norm = torch.nn.utils.get_total_norm(gradients)
        finite = bool(norm.isfinite())
        if finite:
            torch.nn.utils.clip_grads_with_norm_(self._masters.all, self._max_norm, norm)
            set_rates(self._optimizer, lr, critic_lr)
            self._optimizer.step()
            if lr is None:
                reset_idle_steps(self._optimizer)
            self._masters.publish()
        self._optimizer.zero_grad()
        return Update(norm=float(norm), skipped=not finite)

    def _summed(self) -> list[Tensor]:
        """The gradients, summed over the ranks; zero where none was computed."""
        gradients = []
        for master in self._masters.all:
            if master.grad is None:
                master.grad = torch.zeros_like(master)
            gradients.append(master.grad)
        if self._processes.world_size == 1:
            return gradients
        buckets: list[list[Tensor]] = []  # neighbours together until a bucket is full
        size = _BUCKET
        for gradient in gradients:
            if size + gradient.numel() > _BUCKET:  # a larger one is a bucket by itself
                buckets.append([])
                size = 0
            buckets[-1].append(gradient)
            size += gradient.numel()
        for bucket in buckets:
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        return gradients

    @property
    def whole(self) -> bool:
        return True

    @contextmanager
    def gathered(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        yield

    def save(self, folder: Path) -> Seals:
        if not self._processes.is_main:
            return {}
        masters = dict(zip(self._trained, self._masters.all, strict=True))
        state = {"weights": masters, "optimizer": self._optimizer.state_dict()}
        return {folder / _FILE: write_state(state, folder / _FILE)}

    def load(self, folder: Path) -> None:
        state = read_state(folder / _FILE, self._processes.device)
        with torch.no_grad():
            for name, master in zip(self._trained, self._masters.all, strict=True):
                master.copy_(state["weights"][name])
        self._masters.publish()
        self._optimizer.load_state_dict(state["optimizer"])
