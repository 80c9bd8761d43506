"""A level of isolation that works here, and the programs that run at it."""

import contextlib
import os
import queue
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rewards.sandbox.cgroups import ControlGroup, usable_folders
from rewards.sandbox.command_line import library, site_packages
from rewards.sandbox.confined import FOLDER_PREFIX, Confined, read_until, remove_folder
from rewards.sandbox.inside.launch_order import LaunchOrder
from rewards.sandbox.inside.lock import THREADS

LEVELS = ("bubblewrap", "namespaces", "rlimits")  # strongest first
START_S = 60.0  # for a sandbox to come up; longer means that the machine is overloaded

_FIRST_USER = 60600  # below: real users and daemons; up to 61183 nothing assigns ids
_USERS = 500
_INTERPRETER_MB = 64  # what our own part of a control group needs
_OUR_TASKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for one program; each is enforced by the kernel except `wall_s` and `output_kb`.

    Example: Limits(wall_s=6, cpu_s=6, memory_mb=1024)
    """

    wall_s: float = 10.0  # seconds from the program's start to its end, then killed
    cpu_s: int = 10  # seconds of processor time, over all its threads
    memory_mb: int = 1024  # address space of one process; with control groups, memory of all
    processes: int = 1  # 1: threads only; more needs a level with its own process ids
    disk_mb: int = 64  # in the temporary folder
    inodes: int = 4096  # files and folders there, where it is in memory
    output_kb: int = 4096  # of standard output, and of standard error, then killed
    files: int = 128  # open at once


class SandboxFailure(Exception):
    """A confined process did not start, so nothing is known about its program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """What became of a program that ran as a script."""

    status: int  # exit status; 128 + n when signal n ended it
    stopped: str  # "", or the limit that ended it: "deadline" or "output"
    stdout: bytes  # at most `Limits.output_kb`
    stderr: bytes
    seconds: float  # from start to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """One way to run untrusted programs; `choose` tries what works here and returns it.

    Safe to share between threads. `leaks` was found by trying; at the two upper levels it holds
    at most `processes` and `threads`, for they are refused when anything else gets through.
    """

    level: str  # one of LEVELS
    filtered: bool  # system calls are filtered by seccomp
    landlocked: bool  # files are restricted by Landlock; only the lowest level needs it
    own_user: bool  # under a user id of its own; without, in a user namespace where there is one
    grouped: bool  # in a control group, which limits its processes together
    leaks: tuple[str, ...]  # what an attempt got through, see probe.py
    refused: tuple[str, ...] = ()  # "level: why", of the stronger levels that do not work here

    @property
    def rank(self) -> int:
        """3 for the strongest level, 1 for the weakest; recorded with every verdict."""
        return len(LEVELS) - LEVELS.index(self.level)

    def describe(self) -> str:
        """One line for people: the level in force and what it lets through."""
        ways = {
            "seccomp": self.filtered,
            "Landlock": self.landlocked,
            "a user of its own": self.own_user,
            "control groups": self.grouped,
        }
        extras = ", ".join(name for name, on in ways.items() if on)
        text = f"sandbox level '{self.level}'{f' with {extras}' if extras else ''}"
        text += f"; LETS THROUGH: {', '.join(self.leaks)}" if self.leaks else ""
        return text + "".join(f"; not available: {why}" for why in self.refused)

    def start(
        self,
        role: str,
        limits: Limits,
        *,
        stdin: int,
        stdout: int,
        stderr: int = -1,
        keep: tuple[int, ...] = (),
        packages: bool = False,
    ) -> Confined:
        """Start a role (`program`, `serve` or `grader`) with these open files and no others."""
        uncounted = os.geteuid() == 0 and not self.own_user  # the kernel sets root no limit
        if limits.processes > 1 and (self.level == "rlimits" or uncounted):
            raise ValueError("more than one process needs a level that can count and end them")
        user = -1
        if self.own_user:  # one that no other process of ours uses now: they are used in turn
            user = _users.get()
            _users.put(user)
        shown = site_packages() if packages else ""
        with contextlib.ExitStack() as undo:
            folder = "/tmp" if self.level != "rlimits" else ""
            if not folder and role != "grader":  # the grader needs none
                folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
                undo.callback(remove_folder, Path(folder))
                if user >= 0:
                    os.chown(folder, user, user)
            group = None
            if self.grouped and role != "grader":
                memory = limits.memory_mb + limits.disk_mb + _INTERPRETER_MB
                tasks = max(limits.processes, THREADS) + _OUR_TASKS
                group = ControlGroup(usable_folders(), memory_mb=memory, tasks=tasks)
                undo.callback(group.close)
            order = LaunchOrder(
                level=self.level,
                role=role,
                parent=os.getpid(),
                user=user,
                mapped=self.level != "rlimits" and not self.own_user,
                readable=(*library(), *([shown] if shown else ())),
                folder=folder,
                filtered=self.filtered,
                landlocked=self.landlocked,
                cpu_s=limits.cpu_s,
                memory_mb=limits.memory_mb,
                disk_mb=limits.disk_mb,
                inodes=limits.inodes,
                processes=limits.processes,
                files=limits.files,
                packages=shown,
                fds=keep,
                groups=tuple(group.files) if group else (),
            )
            process = Confined(order, stdin=stdin, stdout=stdout, stderr=stderr, group=group)
            undo.pop_all()  # from here on `Confined.close` does it
        return process

    def run(
        self,
        source: str,
        stdin: bytes = b"",
        limits: Limits | None = None,
        *,
        packages: bool = False,
    ) -> ScriptResult:
        """Run a Python program as a script and wait for it; raises SandboxFailure.

        Blocks; call it from a worker thread. Bytes of `stdin` are all there from the beginning.
        """
        limits = limits or Limits()
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(_file(stdin))
            text = stack.enter_context(_file(source.encode("utf-8", "surrogatepass")))
            (out, out_end), (err, err_end), (sign, sign_end) = (os.pipe() for _ in range(3))
            for reading in (out, err, sign):
                stack.callback(os.close, reading)
            process = self.start(
                "program",
                limits,
                stdin=given,
                stdout=out_end,
                stderr=err_end,
                keep=(text, sign_end),
                packages=packages,
            )
            stack.callback(process.close)
            for end in (out_end, err_end, sign_end):
                os.close(end)
            begun, _ = read_until({sign: 1}, time.monotonic() + START_S)
            most = limits.output_kb << 10
            deadline = time.monotonic() + limits.wall_s if begun[sign] else time.monotonic()
            got, stopped = read_until({out: most, err: most}, deadline)
            status = process.wait(max(0.0, deadline - time.monotonic())) if not stopped else None
            if status is None:
                stopped = stopped or "deadline"
                process.kill()
                status = process.wait(START_S) or 0
            if not begun[sign]:
                complaint = got[err].decode("utf-8", "replace").strip()[-500:]
                why = complaint or f"status {status}"
                raise SandboxFailure(f"the sandbox did not start: {why}")
        return ScriptResult(
            status=status,
            stopped=stopped,
            stdout=got[out],
            stderr=got[err],
            seconds=time.monotonic() - started,
        )


_users: "queue.SimpleQueue[int]" = queue.SimpleQueue()
for _number in range(_USERS):
    _users.put(_FIRST_USER + _number)


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[int]:
    """An unnamed file with this content, open at its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()
