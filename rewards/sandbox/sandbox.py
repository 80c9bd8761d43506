"""A level of isolation that works here, and the programs that run at it."""

import contextlib
import os
import queue
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rewards.sandbox.commands import library, site_packages
from rewards.sandbox.inside.launch_order import Order
from rewards.sandbox.limits import Limits
from rewards.sandbox.process import FOLDER_PREFIX, Confined, read_until

LEVELS = ("bubblewrap", "namespaces", "rlimits")  # strongest first
START_S = 15.0  # for a sandbox to come up; longer means that the machine is overloaded

_FIRST_USER = 60600  # below: real users and daemons; up to 61183 nothing assigns ids
_USERS = 500


class SandboxFailure(Exception):
    """A confined process did not start, so nothing is known about its program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
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
        """Start a role (`program`, `serve` or `judge`) with these open files and no others."""
        uncounted = os.geteuid() == 0 and not self.own_user  # the kernel sets root no limit
        if limits.processes > 1 and (self.level == "rlimits" or uncounted):
            raise ValueError("more than one process needs a level that can count and end them")
        user = _next_user() if self.own_user else -1
        folder = self._folder(role, user)
        shown = site_packages() if packages else ""
        order = Order(
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
            processes=limits.processes,
            files=limits.files,
            packages=shown,
            fds=keep,
        )
        return Confined(order, stdin=stdin, stdout=stdout, stderr=stderr, keep=keep)

    def _folder(self, role: str, user: int) -> str:
        """A new temporary folder where the level has none of its own; the judge needs none."""
        if self.level != "rlimits":
            return "/tmp"
        if role == "run_tests":
            return ""
        folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
        if user >= 0:
            os.chown(folder, user, user)
        return folder

    def run(
        self,
        source: str,
        stdin: bytes = b"",
        limits: Limits | None = None,
        *,
        packages: bool = False,
    ) -> Outcome:
        """Run a Python program as a script and wait for it; raises SandboxFailure.

        Blocks; call it from a worker thread. Bytes of `stdin` are all there from the beginning.
        """
        limits = limits or Limits()
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(_file(stdin))
            text = stack.enter_context(_file(source.encode("utf-8", "surrogatepass")))
            (out, out_end), (err, err_end), (sign, sign_end) = (_pipe(stack) for _ in range(3))
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
            most = limits.output_kb << 10
            deadline = started + limits.wall_s
            got, stopped = read_until({out: most, err: most, sign: 1}, deadline)
            status = process.wait(max(0.0, deadline - time.monotonic())) if not stopped else None
            if status is None:
                stopped = stopped or "deadline"
                process.kill()
                status = process.wait(START_S) or 0
            if not got[sign]:
                said = got[err].decode("utf-8", "replace").strip()[-500:]
                raise SandboxFailure(f"the sandbox did not start: {said or f'status {status}'}")
        return Outcome(
            status=status,
            stopped=stopped,
            stdout=got[out],
            stderr=got[err],
            seconds=time.monotonic() - started,
        )


_users: "queue.SimpleQueue[int]" = queue.SimpleQueue()
for _number in range(_USERS):
    _users.put(_FIRST_USER + _number)


def _next_user() -> int:
    """A user id that no other process of ours uses now: they are used in turn."""
    user = _users.get()
    _users.put(user)
    return user


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[int]:
    """An unnamed file with this content, open at its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Both ends; only the reading one is closed with the stack."""
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    return reading, writing
