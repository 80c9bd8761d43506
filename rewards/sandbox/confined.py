"""Starting, watching and ending one confined process, from a thread of the trainer.

    trainer thread -> bwrap, or an interpreter that makes the namespaces    killed last
                        `- process 1 of the new process ids                 killed first
                             `- the role: program, serve or grader

Killing process 1 makes the kernel kill everything inside; the outermost process then ends by
itself and is waited for, so that nothing is left, not even a process that nobody waits for.
"""

import contextlib
import itertools
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, NamedTuple

from rewards.sandbox.cgroups import ControlGroup
from rewards.sandbox.command_line import command, environment
from rewards.sandbox.inside.launch_order import LaunchOrder

log = logging.getLogger(__name__)

FOLDER_PREFIX = "sandbox-"  # of a program's temporary folder; nothing else is ever removed
_GRACE_S = 0.5  # for a process that has no more to do
_REAP_S = 5.0  # for the outermost process to end by itself; on a busy machine that can take a while
_GLANCE_S = 0.1  # between looks at the clock, and at whether anybody still waits for the result
_THREADS = 64  # whose waiting is looked at: more than a program may have where they are counted
_TICK = os.sysconf("SC_CLK_TCK")


class ProcessorTime(NamedTuple):
    """Of a confined process and all that it started."""

    used_s: float
    waited_s: float  # ready to run, but another had the processor; of the processes that are there


class Confined:
    """A confined process; `close` ends it and all it started, and removes its folder and group."""

    def __init__(
        self,
        order: LaunchOrder,
        *,
        stdin: int,
        stdout: int,
        stderr: int = -1,
        group: ControlGroup | None = None,
    ) -> None:
        self._stack = contextlib.ExitStack()
        # Only a folder made for this process: at the upper levels the name is another one's /tmp.
        if order.level == "rlimits" and order.folder:
            self._stack.callback(remove_folder, Path(order.folder))
        if group is not None:
            self._stack.callback(group.close)
        self._nested = order.level != "rlimits"
        errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the stack)
        self._errors = self._stack.enter_context(errors)
        try:
            self._process = subprocess.Popen(
                command(order),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr if stderr >= 0 else self._errors,
                pass_fds=(*order.fds, *order.groups),
                env=environment(order),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self._stack.close()
            raise
        if group is not None:
            group.close_files()

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
        """What it wrote before the program started, for a sandbox that did not."""
        self._errors.seek(0)
        return self._errors.read(2000).decode("utf-8", "replace").strip()

    def processor_time(self) -> ProcessorTime:
        """Zero where there is no /proc to read it from."""
        used = waited = 0.0
        for process in family(self._process.pid):
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                used += sum(map(int, fields[11:15])) / _TICK  # its own, and its dead children's
                with os.scandir(f"/proc/{process}/task") as threads:
                    for thread in itertools.islice(threads, _THREADS):
                        times = Path(thread.path, "schedstat").read_text().split()
                        waited += int(times[1]) / 1e9
        return ProcessorTime(used, waited)

    def close(self) -> None:
        if self.wait(0) is None:
            self.kill()
        self._process.wait()
        self._stack.close()

    def end_soon(self) -> None:
        """Wait a moment for a process that has no more to do."""
        self.wait(_GRACE_S)

    def kill(self) -> None:
        below = family(self._process.pid)[1:]
        # Process 1 takes the others with it; without one, a script is in a session of its own.
        for process in below[:1] if self._nested else reversed(below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if self._nested and below:
            self.wait(_REAP_S)
        if self.wait(0) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def family(process: int) -> list[int]:
    """The process and everything below it, parents first; of each, what its first thread started.

    Only the process itself where there is no /proc to read the others from.
    """
    found = [process]
    for member in found:  # grows while we go along
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{member}/task/{member}/children").read_text()
            found += map(int, children.split())
    return found


def remove_folder(folder: Path) -> None:
    """Remove a folder that a program filled, however deep, and whatever modes it set.

    What cannot be removed is logged and left: it is no reason to lose a verdict.
    """
    if not folder.name.startswith(FOLDER_PREFIX):
        raise ValueError(f"{folder} was not made for a program and is not removed")
    counter = 0
    try:
        while any(folder.iterdir()):
            for entry in list(folder.iterdir()):
                if entry.is_symlink() or not entry.is_dir():
                    entry.unlink()
                    continue
                entry.chmod(0o700)
                # Its entries are moved up before it is removed, so that depth costs no recursion.
                for child in list(entry.iterdir()):
                    if not child.is_symlink() and child.is_dir():
                        child.chmod(0o700)
                    counter += 1
                    child.rename(folder / f"_{counter}_{time.monotonic_ns()}")
                entry.rmdir()
        folder.rmdir()
    except OSError as error:
        log.warning("the temporary folder %s could not be removed: %s", folder, error)


class Reader:
    """Reads several open files to their ends; each maps to the most bytes that it may bring."""

    def __init__(self, streams: dict[int, int]) -> None:
        self._most = streams
        self._pieces: dict[int, list[bytes]] = {stream: [] for stream in streams}
        self._sizes = dict.fromkeys(streams, 0)
        self._poll = select.poll()
        for stream in streams:
            self._poll.register(stream, select.POLLIN)
        self._left = len(streams)

    def glance(self, seconds: float = _GLANCE_S) -> str:
        """Read what is there, or wait a moment for it: "ended", "output" (too much) or ""."""
        for stream, _ in self._poll.poll(max(0.0, min(seconds, _GLANCE_S)) * 1000):
            piece = os.read(stream, 1 << 16)
            self._pieces[stream].append(piece)
            self._sizes[stream] += len(piece)
            if not piece:
                self._poll.unregister(stream)
                self._left -= 1
            if self._sizes[stream] > self._most[stream]:
                return "output"
        return "" if self._left else "ended"

    def content(self, stream: int) -> bytes:
        return b"".join(self._pieces[stream])[: self._most[stream]]


def read_until(
    streams: dict[int, int], deadline: float, stop: threading.Event | None = None
) -> tuple[dict[int, bytes], str]:
    """What was read, and why reading ended early: "", "deadline", "output" or "stopped"."""
    reader = Reader(streams)
    why = ""
    while not why:
        why = reader.glance(deadline - time.monotonic())
        if not why and stop is not None and stop.is_set():
            why = "stopped"
        elif not why and time.monotonic() > deadline:
            why = "deadline"
    content = {stream: reader.content(stream) for stream in streams}
    return content, "" if why == "ended" else why
