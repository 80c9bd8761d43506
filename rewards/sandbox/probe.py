"""Which level works here? Found by running a program that tries to get out.

network      connect to a port of this machine
reads        read a file of the trainer, or the trainer's environment
writes       make a file in a folder of the trainer that anybody may write
signals      reach the trainer's process
processes    start a process
namespaces   become root in a new user namespace
metadata     ask for the size and times of a file of the trainer
disk         write more into the temporary folder than it may hold
"""

import contextlib
import functools
import json
import os
import socket
import sys
import tempfile
from pathlib import Path

from rewards.sandbox.commands import bubblewrap_missing
from rewards.sandbox.limits import Limits
from rewards.sandbox.sandbox import LEVELS, Sandbox, SandboxFailure

_ATTEMPTS = """
import ctypes, json, os, socket, sys
port, folder, parent = json.loads(sys.stdin.read())
got = []
def attempt(name, action):
    try:
        if action() is not False and name not in got:
            got.append(name)
    except Exception:
        pass
def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()
attempt("network", lambda: socket.create_connection(("127.0.0.1", port), 1))
attempt("reads", lambda: open(folder + "/secret").read() == "secret")
attempt("reads", lambda: open(f"/proc/{parent}/environ").read() != "")
attempt("writes", lambda: open(folder + "/open/written", "w"))
attempt("signals", lambda: os.kill(parent, 0))
attempt("processes", fork)
attempt("namespaces", lambda: ctypes.CDLL(None).unshare(0x10000000) == 0)
attempt("metadata", lambda: os.stat(folder + "/secret"))
attempt("disk", lambda: [open(name, "wb", 0).write(bytes(1 << 20)) == 1 << 20 or fork.fail
                         for name in ("one", "two")])
print(json.dumps(got))
"""


class SandboxUnavailable(Exception):
    """The level that was asked for does not work here."""


@functools.cache
def choose(level: str = "auto") -> Sandbox:
    """The strongest level that works, or the one that is named; raises SandboxUnavailable.

    Tries each once in the life of the process, which takes about a tenth of a second.
    """
    if level != "auto" and level not in LEVELS:
        raise SandboxUnavailable(f"no sandbox level '{level}' (known: auto, {', '.join(LEVELS)})")
    refused: list[str] = []
    for name in LEVELS if level == "auto" else (level,):
        for filtered, landlocked in _variants(name):
            found = _try(name, filtered, landlocked, tuple(refused))
            if isinstance(found, Sandbox):
                return found
        refused.append(f"{name} ({found})")
    raise SandboxUnavailable("; ".join(refused))


def _variants(level: str) -> list[tuple[bool, bool]]:
    """With or without seccomp and Landlock, in the order of preference."""
    if sys.platform != "linux":
        return [(False, False)]
    if level == "rlimits":
        return [(True, True), (True, False), (False, False)]
    return [(True, False), (False, False)]


def _try(level: str, filtered: bool, landlocked: bool, refused: tuple[str, ...]) -> Sandbox | str:
    """The sandbox with what it lets through, or why it does not work."""
    if level == "bubblewrap" and bubblewrap_missing():
        return "the command bwrap is not installed"
    if level != "rlimits" and sys.platform != "linux":
        return "Linux only"
    bare = Sandbox(level=level, filtered=filtered, landlocked=landlocked, leaks=())
    try:
        leaks = attempt_escapes(bare)
    except (SandboxFailure, OSError, ValueError) as error:
        return str(error).splitlines()[-1] if str(error) else type(error).__name__
    # Its own process ids end whatever was started, so that alone does not refuse the level.
    if level != "rlimits" and set(leaks) - {"processes"}:
        return f"lets through {', '.join(leaks)}"
    return Sandbox(
        level=level, filtered=filtered, landlocked=landlocked, leaks=leaks, refused=refused
    )


def attempt_escapes(sandbox: Sandbox) -> tuple[str, ...]:
    """What a program at this level gets through of the list at the top of this file."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-probe-")))
        folder.chmod(0o755)
        (folder / "secret").write_text("secret")
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        facts = json.dumps([listener.getsockname()[1], str(folder), os.getpid()])
        limits = Limits(wall_s=20, cpu_s=5, memory_mb=512, disk_mb=1)
        outcome = sandbox.run(_ATTEMPTS, facts.encode(), limits)
        if outcome.status != 0:
            said = outcome.stderr.decode("utf-8", "replace").strip()
            raise SandboxFailure(f"the probe ended with {outcome.status}: {said[-300:]}")
        return tuple(json.loads(outcome.stdout))
