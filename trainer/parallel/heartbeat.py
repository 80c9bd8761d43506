"""Which rank has stopped answering, in words: a beat of every rank, watched by the others.

    rank 1, 2, ... --"beat" every few seconds--> a store at rank 0 <--rank 0 looks who has stopped
         ^---------------- what rank 0 found, and whether the store still answers ------'

A collective operation cannot tell: it waits for an hour, or fails with an address. The beats come
from a thread, so a rank that computes or samples for long goes on beating; one that was stopped,
frozen or cut off does not. Every rank then ends with exit code 3 and the name of the missing one.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from torch._C._distributed_c10d import TCPStore

_STOPPED = 3  # exit code of a run that ended itself with a cause
_GRACE_S = 10.0  # for a process that is about to end by itself


class Heartbeat:
    """The beat of one rank, and its watch over the others; every rank makes one."""

    def __init__(
        self,
        rank: int,
        world_size: int,
        limit_s: float,
        broadcast: Callable[[tuple[str, int]], tuple[str, int]],
    ) -> None:
        self._rank, self._limit_s = rank, limit_s
        self._period_s = min(5.0, limit_s / 6)
        self._done = threading.Event()
        wait = timedelta(seconds=limit_s)
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        if rank == 0:
            self._store = TCPStore(host, 0, None, True, wait, wait_for_workers=False)
            self._store.set("missing", "")
        place = broadcast((host, self._store.port if rank == 0 else 0))
        if rank:
            self._store = TCPStore(*place, None, False, wait, wait_for_workers=False)
        self._names = {other: f"beat{other}" for other in range(world_size)}
        self._answered = time.monotonic()  # when the store last did
        for work in (self._run, self._watch) if rank else (self._run,):
            threading.Thread(target=work, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """The ranks part: silence means nothing from now on."""
        self._done.set()

    def _run(self) -> None:
        me = f"{socket.gethostname()}, process {os.getpid()}"
        self._store.set(f"place{self._rank}", me)
        others = [other for other in self._names if other and not self._rank]
        heard = dict.fromkeys(others, ("", time.monotonic()))
        last = time.monotonic()
        beats = 0
        while not self._done.wait(self._period_s):
            beats += 1
            if time.monotonic() - last > self._limit_s / 2:  # this rank itself was stopped
                heard = dict.fromkeys(others, ("", time.monotonic()))
            last = time.monotonic()
            try:
                self._store.set(self._names[self._rank], str(beats))
                found = (
                    self._missing(heard) if self._rank == 0 else self._store.get("missing").decode()
                )
            except RuntimeError:
                found = "rank 0"
            self._answered = time.monotonic()
            if found:
                self._end(found)

    def _watch(self) -> None:
        """A call to a store whose process is stopped never returns, whatever its time limit."""
        last = time.monotonic()
        while not self._done.wait(self._period_s):
            now = time.monotonic()
            if now - last > self._limit_s / 2:  # this rank itself was stopped
                self._answered = now
            last = now
            if now - self._answered > self._limit_s:
                self._end("rank 0")

    def _missing(self, heard: dict[int, tuple[str, float]]) -> str:
        """On rank 0: the ranks whose beat has not changed for too long."""
        now = time.monotonic()
        for other, (before, since) in heard.items():
            name = self._names[other]
            beat = self._store.get(name).decode() if self._store.check([name]) else ""
            heard[other] = (beat, now if beat != before else since)
        late = [rank for rank, (_, since) in heard.items() if now - since > self._limit_s]
        if not late:
            return ""
        places = []
        for rank in late:
            name = f"place{rank}"
            place = self._store.get(name).decode() if self._store.check([name]) else "place unknown"
            places.append(f"rank {rank} ({place})")
        found = " and ".join(places)
        self._store.set("missing", found)
        self._done.wait(2 * self._period_s)  # the other ranks read it here
        return found

    def _end(self, missing: str) -> None:
        """Say it and end: the main thread waits inside an operation that will not return."""
        if self._done.wait(min(_GRACE_S, self._limit_s) if missing == "rank 0" else 0):
            return
        print(
            f"stopped: {missing} has not answered for {self._limit_s:g} s: it was stopped, is "
            f"frozen or cannot be reached. Rank {self._rank} ends; go on with --resume from the "
            "last checkpoint. sharding.heartbeat_s sets the limit",
            file=sys.stderr,
            flush=True,
        )
        os._exit(_STOPPED)
