"""The trainer's half of a push: every tensor to every worker of every server.

    gloo    our own group, on any machine                    tensors through CPU memory
    nccl    vLLM's trainer engine, packed                    GPU to GPU

Both follow vLLM's lifecycle: init once, then start, update, finish. `update` must be under way on
the servers while the trainer broadcasts. Blocking calls run in daemon threads: one that never
comes back must not keep the process alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import torch

from recipes.slots.spec import JSON
from rewards.background import LoopTasks
from rollout.engines.vllm_remote import gloo_group
from rollout.engines.vllm_remote.gloo_group import GlooGroup
from rollout.engines.vllm_remote.http import Servers

if TYPE_CHECKING:
    from vllm.distributed.weight_transfer.base import ParamMeta, TrainerWeightTransferEngine

T = TypeVar("T")
Named = Sequence[tuple[str, "torch.Tensor"]]
Backend = Literal["gloo", "nccl"]


class Push(Protocol):
    """One way for weights; `__call__` blocks, and is called in a thread of its own."""

    def __call__(self, named: Named, version: int) -> None:
        """All servers have these weights, and call them `version`."""
        ...


class _Control:
    """Orders to all servers from a thread that may block."""

    def __init__(self, tasks: LoopTasks, servers: Servers, timeout_s: float) -> None:
        self._tasks = tasks
        self._servers = servers
        self.timeout_s = timeout_s
        self.version = 0

    def start(self, path: str, bodies: Sequence[JSON] = ()) -> Future[list[JSON]]:
        return self._tasks.submit(self._servers.all_post(path, bodies))

    def order(self, path: str, body: JSON) -> None:
        """The same order to all, obeyed by all."""
        self.start(path, [body] * len(self._servers.urls)).result(self.timeout_s)

    def world_sizes(self) -> list[int]:
        """Workers of each server."""
        asked: Coroutine[None, None, list[JSON]] = self._servers.all_get("/get_world_size")
        return [int(a["world_size"]) for a in self._tasks.submit(asked).result(self.timeout_s)]

    # -- vLLM's VLLMWeightSyncClient -------------------------------------------------------------

    def init_weight_transfer_engine(self, init_info: dict[str, JSON]) -> None:
        self.start("/init_weight_transfer_engine", self.init_bodies(init_info)).result(
            self.timeout_s
        )

    def init_bodies(self, info: dict[str, JSON]) -> list[JSON]:
        """Each server's own copy: its workers come after those of the servers before it."""
        bodies: list[JSON] = []
        offset = 1
        for size in self.world_sizes():
            bodies.append({"init_info": {**info, "rank_offset": offset}})
            offset += size
        return bodies

    def start_weight_update(self) -> None:
        self.order("/start_weight_update", None)

    def update_weights(self, update_info: JSON) -> None:
        self.order("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        version = weight_version or str(self.version)
        self.order("/finish_weight_update", {"weight_version": version})


class GlooPush:
    """Weights through CPU memory; the group is made with the first push."""

    def __init__(self, control: _Control, address: str) -> None:
        self._control = control
        self._address = address
        self._group: GlooGroup | None = None

    def __call__(self, named: Named, version: int) -> None:
        control = self._control
        if self._group is None:
            self._group = self._meet()
        control.start_weight_update()
        info = {
            "names": [name for name, _ in named],
            "dtype_names": [str(tensor.dtype).removeprefix("torch.") for _, tensor in named],
            "shapes": [list(tensor.shape) for _, tensor in named],
        }
        sent = in_thread(lambda: gloo_group.send(self._group, [tensor for _, tensor in named]))
        told = in_thread(lambda: control.update_weights(info))
        both(sent, told, control.timeout_s)
        control.finish_weight_update(str(version))

    def _meet(self) -> GlooGroup:
        control = self._control
        listening = gloo_group.open_socket(self._address)
        meeting = gloo_group.Meeting(
            address=self._address,
            port=listening.getsockname()[1],
            world_size=1 + sum(control.world_sizes()),
            timeout_s=control.timeout_s,
        )
        info = {
            "address": meeting.address,
            "port": meeting.port,
            "world_size": meeting.world_size,
            "timeout_s": meeting.timeout_s,
        }
        joined = in_thread(lambda: gloo_group.join(meeting, 0, listening))
        told = in_thread(lambda: control.init_weight_transfer_engine(info))
        both(joined, told, control.timeout_s)
        return joined.result()


class NcclPush:
    """Weights from GPU to GPU by vLLM's own trainer engine."""

    def __init__(self, control: _Control, address: str) -> None:
        self._control = control
        self._address = address
        self._engine: TrainerWeightTransferEngine | None = None
        self._named: Named = ()
        self._device = torch.accelerator.current_device_index()  # a new thread would get the first

    def __call__(self, named: Named, version: int) -> None:
        torch.accelerator.set_device_index(self._device)
        self._named = named
        self._control.version = version  # vLLM's engine finishes without naming one
        if self._engine is None:
            self._engine = self._meet()
        self._engine.send_weights()
        self._named = ()

    def _meet(self) -> TrainerWeightTransferEngine:
        from vllm.distributed.weight_transfer import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        with gloo_group.open_socket(self._address) as free:
            port = free.getsockname()[1]
        info = NCCLTrainerInitInfo(
            master_address=self._address,
            master_port=port,
            world_size=1 + sum(self._control.world_sizes()),
            rank=0,
        )
        return WeightTransferTrainerFactory.trainer_init(
            info, client=self._control, source=_Source(lambda: self._named, self._device)
        )


class _Source:
    """vLLM's WeightSource by its methods alone: the tensors of this push, on this rank's GPU."""

    def __init__(self, named: Callable[[], Named], device: int) -> None:
        self._named = named
        self._device = device

    def metadata(self) -> list[ParamMeta]:
        from vllm.distributed.weight_transfer.base import ParamMeta

        return [ParamMeta(name, t.dtype, tuple(t.shape)) for name, t in self._named()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, tensor in self._named():
            yield name, tensor.detach().to(f"cuda:{self._device}")


def make_push(
    backend: Backend, tasks: LoopTasks, servers: Servers, *, address: str, timeout_s: float
) -> Push:
    """The push that `backend` names."""
    kind = NcclPush if backend == "nccl" else GlooPush
    return kind(_Control(tasks, servers, timeout_s), address)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a daemon thread, unlike an executor's, which the interpreter waits for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="vllm-push", daemon=True).start()
    return future


def both(one: Future[None], other: Future[None], timeout_s: float) -> None:
    """Wait for two that need each other; the first error is raised though the other waits on."""
    done, waiting = wait([one, other], timeout_s, FIRST_EXCEPTION)
    for future in sorted(done, key=lambda f: f is one):  # the servers' words say more than ours
        future.result()
    if waiting:
        raise TimeoutError(f"the servers did not take the weights within {timeout_s:g} s")
