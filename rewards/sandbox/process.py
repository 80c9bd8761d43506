"""Starting, watching and ending one confined process, from a thread of the trainer.

    trainer thread -> bwrap, or an interpreter that makes the namespaces    killed last
                        `- process 1 of the new process ids                 killed first
                             `- the role: program, serve or judge

Killing process 1 makes the kernel kill everything inside; the outermost process then ends by
itself and is waited for, so that nothing is left, not even a process that nobody waits for.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from rewards.sandbox.commands import command, environment
from rewards.sandbox.inside.launch_order import Order

FOLDER_PREFIX = "sandbox-"  # of a program's temporary folder; nothing else is ever removed
_GRACE_S = 0.5  # for a process that has no more to do
_REAP_S = 5.0  # for the outermost process to end by itself; on a busy machine that can take a while
_GLANCE_S = 0.25  # between looks at whether anybody still waits for the result


class Confined:
    """A confined process; `close` ends it and all it started, and removes its folder."""

    def __init__(
        self, order: Order, *, stdin: int, stdout: int, stderr: int = -1, keep: tuple[int, ...] = ()
    ) -> None:
        # Only a folder made for this process: at the upper levels the name is another one's /tmp.
        self._folder = Path(order.folder) if order.level == "rlimits" and order.folder else None
        self._nested = order.level != "rlimits"
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = subprocess.Popen(
            command(order),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr if stderr >= 0 else self._errors,
            pass_fds=keep,
            env=environment(order),
            cwd="/",
            start_new_session=True,
        )

    def wait(self, seconds: float) -> int | None:
        """Exit status, or None when it still runs; killed by signal n is 128 + n."""
        if sys.platform == "linux" and self._process.poll() is None:
            handle = os.pidfd_open(self._process.pid)  # wakes at once, unlike a polling wait
            watch = select.poll()
            watch.register(handle, select.POLLIN)
            watch.poll(seconds * 1000)
            os.close(handle)
            seconds = 0.0
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def complaint(self) -> str:
        """What it said before the program started, for a sandbox that did not."""
        self._errors.seek(0)
        return self._errors.read(2000).decode("utf-8", "replace").strip()

    def starved(self, seconds: float, *, enough_s: float) -> bool:
        """Whether it wanted a processor but did not get one for half of the last `seconds`.

        Not when it had `enough_s` of processor time, and only believed of a program with one
        thread: one with more can starve itself.
        """
        had_s, waited_s = _processor_time(descendants(self._process.pid)[-1])
        return had_s < enough_s and waited_s > seconds / 2

    def close(self) -> None:
        if self.wait(0) is None:
            self.kill()
        self._process.wait()
        self._errors.close()
        if self._folder is not None:
            remove_folder(self._folder)

    def end_soon(self) -> None:
        """Wait a moment for a process that has no more to do."""
        self.wait(_GRACE_S)

    def kill(self) -> None:
        family = descendants(self._process.pid)
        if self._nested and len(family) > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(family[1], signal.SIGKILL)
            self.wait(_REAP_S)
        if self.wait(0) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def descendants(process: int) -> list[int]:
    """The process, its first child, that one's first child, and so on.

    Only the process itself where there is no /proc to read the others from.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    line = [process]
    while below := children.get(line[-1]):
        line.append(min(below))
    return line


def _processor_time(process: int) -> tuple[float, float]:
    """Seconds that a process of one thread ran, and was ready but did not run; 0 when unknown."""
    try:
        if len(os.listdir(f"/proc/{process}/task")) != 1:
            return 0.0, 0.0
        had, waited = Path(f"/proc/{process}/schedstat").read_text().split()[:2]
        return int(had) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return 0.0, 0.0


def remove_folder(folder: Path) -> None:
    """Remove a folder that a program filled, however deep, and whatever modes it set.

    Every subfolder's entries are moved up before it is removed, so depth costs no recursion.
    """
    if not folder.name.startswith(FOLDER_PREFIX):
        raise ValueError(f"{folder} was not made for a program and is not removed")
    counter = 0
    while any(folder.iterdir()):
        for entry in list(folder.iterdir()):
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
                continue
            entry.chmod(0o700)
            for child in list(entry.iterdir()):
                if not child.is_symlink() and child.is_dir():
                    child.chmod(0o700)
                counter += 1
                child.rename(folder / f"_{counter}_{time.monotonic_ns()}")
            entry.rmdir()
    shutil.rmtree(folder)


def read_until(
    streams: dict[int, int], deadline: float, stop: threading.Event | None = None
) -> tuple[dict[int, bytes], str]:
    """Read several open files to their ends; each maps to the most bytes that it may bring.

    Returns what was read, and why reading ended early: "", "deadline", "output" or "stopped".
    """
    got: dict[int, list[bytes]] = {stream: [] for stream in streams}
    sizes = dict.fromkeys(streams, 0)
    poll = select.poll()
    for stream in streams:
        poll.register(stream, select.POLLIN)
    left, why = len(streams), ""
    while left and not why:
        ready = poll.poll(max(0.0, min(deadline - time.monotonic(), _GLANCE_S)) * 1000)
        if stop is not None and stop.is_set():
            why = "stopped"
        elif time.monotonic() > deadline:
            why = "deadline"
        for stream, _ in ready:
            piece = os.read(stream, 1 << 16)
            got[stream].append(piece)
            sizes[stream] += len(piece)
            if not piece:
                poll.unregister(stream)
                left -= 1
            if sizes[stream] > streams[stream]:
                why = "output"
    return {stream: b"".join(pieces)[: streams[stream]] for stream, pieces in got.items()}, why
