"""A process group of one sender and many receivers, over gloo: weights without NCCL.

The same file serves the trainer (rank 0) and vLLM's workers (the others), so that both sides agree
on the order and form of what travels. It joins no group of torch.distributed and leaves none.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

if TYPE_CHECKING:
    from torch._C._distributed_c10d import ProcessGroupGloo

GlooGroup: TypeAlias = Any  # a ProcessGroupGloo, whose methods torch's stubs do not know
_STORE = "temper-weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Where the group meets: what every member must be told."""

    address: str  # of rank 0
    port: int
    world_size: int
    timeout_s: float  # longest wait for another member, in any call


def open_socket(address: str) -> socket.socket:
    """A listening socket on a free port of `address`, and on no other interface."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.bind((address, 0))
    listening.listen()
    return listening


def join(meeting: Meeting, rank: int, listening: socket.socket | None = None) -> GlooGroup:
    """The group, once all members are there; rank 0 brings the socket of the meeting's port."""
    from torch._C._distributed_c10d import PrefixStore, ProcessGroupGloo, TCPStore

    wait = timedelta(seconds=meeting.timeout_s)
    store = TCPStore(
        meeting.address,
        meeting.port,
        meeting.world_size,
        is_master=listening is not None,
        timeout=wait,
        wait_for_workers=False,
        master_listen_fd=listening.detach() if listening else None,
    )
    options = vars(ProcessGroupGloo)["_Options"]()  # the stubs do not know it
    options._timeout = wait
    options._devices = [_device(meeting.address)]
    named = PrefixStore(_STORE, store)
    return ProcessGroupGloo(named, rank, meeting.world_size, options)


def _device(address: str) -> ProcessGroupGloo.Device:
    """Loopback meets on loopback alone; else the interface that the host's name stands for."""
    from torch._C._distributed_c10d import ProcessGroupGloo

    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        local = address == "localhost"
    if local:
        return ProcessGroupGloo.create_device(hostname=address)
    return ProcessGroupGloo.create_default_device()


def send(group: GlooGroup, tensors: Iterable[torch.Tensor]) -> None:
    """Broadcast from rank 0, one after the other, as bytes: gloo need not know the dtype."""
    for tensor in tensors:
        _broadcast(group, _bytes(tensor.detach().cpu()))


def receive(
    group: GlooGroup,
    names: Sequence[str],
    dtypes: Sequence[str],
    shapes: Sequence[Sequence[int]],
) -> Iterator[tuple[str, torch.Tensor]]:
    """What `send` sends, by name, on the CPU."""
    for name, dtype, shape in zip(names, dtypes, shapes, strict=True):
        tensor = torch.empty(tuple(shape), dtype=vars(torch)[dtype])
        _broadcast(group, _bytes(tensor))
        yield name, tensor


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _broadcast(group: GlooGroup, flat: torch.Tensor) -> None:
    options = torch.distributed.BroadcastOptions()
    options.rootRank = 0
    group.broadcast([flat], options).wait()
