"""Which level works here? Found by running a program that tries to get out.

network      connect to a port of this machine
reads        read a file of the trainer, or the trainer's environment
writes       make a file in a folder of the trainer that anybody may write
signals      reach a process of the trainer
processes    start a process
namespaces   become root in a new user namespace
metadata     ask for the size and times of a file of the trainer
disk         write more, or more files, into the temporary folder than it may hold
threads      start more threads than allowed
"""

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rewards.sandbox.cgroups import usable_folders
from rewards.sandbox.command_line import interpreter, library
from rewards.sandbox.sandbox import LEVELS, Limits, Sandbox, SandboxFailure

_ATTEMPTS = """
import ctypes, json, os, signal, socket, sys, threading
port, folder, parent, victim = json.loads(sys.stdin.read())
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
attempt("signals", lambda: os.kill(victim, signal.SIGWINCH))
attempt("processes", fork)
attempt("namespaces", lambda: ctypes.CDLL(None).unshare(0x10000000) == 0)
attempt("metadata", lambda: os.stat(folder + "/secret"))
attempt("disk", lambda: [open(name, "wb", 0).write(bytes(1 << 20)) == 1 << 20 or fork.fail
                         for name in ("one", "two")])
attempt("disk", lambda: [os.mkdir(str(number)) for number in range(200)])
def start_threads():
    threading.stack_size(1 << 16)
    done = threading.Event()
    try:
        for _ in range(80):
            threading.Thread(target=done.wait).start()
    finally:
        done.set()
attempt("threads", start_threads)
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
        reasons: list[str] = []
        for variant in _variants(name):
            found = _try(variant)
            if isinstance(found, Sandbox):
                return replace(found, refused=tuple(refused))
            reasons.append(found)
        refused.append(f"{name} ({'; or '.join(dict.fromkeys(reasons))})")
    raise SandboxUnavailable("; ".join([*refused, *closed_to_others(library())]))


def _variants(level: str) -> list[Sandbox]:
    """The ways to build a level, in the order of preference."""
    linux = sys.platform == "linux"
    hardened = [(True, level == "rlimits"), (True, False)] if linux else []
    users = (True, False) if os.geteuid() == 0 else (False,)
    return [
        Sandbox(
            level=level,
            filtered=filtered,
            landlocked=landlocked,
            own_user=own_user,
            grouped=grouped,
            leaks=(),
        )
        for own_user in users
        for filtered, landlocked in dict.fromkeys([*hardened, (False, False)])
        for grouped in ((True, False) if usable_folders() else (False,))
    ]


def closed_to_others(paths: Iterable[str]) -> list[str]:
    """The first of these, or of the Python library in one, that other users may not read."""
    for path in paths:
        if os.path.islink(path):
            continue
        for part in (Path(path), *Path(path).glob("python3*"), *Path(path).glob("python3*/os.py")):
            mode = part.stat().st_mode
            if mode & 0o004 == 0 or (part.is_dir() and mode & 0o001 == 0):
                return [
                    f"{part} may not be read by other users (mode {mode & 0o777:03o}), so neither "
                    "by the user that programs run as; open it, or use another Python"
                ]
    return []


def _try(sandbox: Sandbox) -> Sandbox | str:
    """The sandbox with what it lets through, or why it does not work."""
    if sandbox.level == "bubblewrap" and shutil.which("bwrap") is None:
        return "the command bwrap is not installed"
    if sandbox.level != "rlimits" and sys.platform != "linux":
        return "Linux only"
    try:
        leaks = attempt_escapes(sandbox)
    except (SandboxFailure, OSError, ValueError) as error:
        return str(error).splitlines()[-1] if str(error) else type(error).__name__
    # Its own process ids end whatever was started, so that alone does not refuse the level.
    if sandbox.level != "rlimits" and set(leaks) - {"processes", "threads"}:
        return f"lets through {', '.join(leaks)}"
    return replace(sandbox, leaks=leaks)


def attempt_escapes(sandbox: Sandbox) -> tuple[str, ...]:
    """What a program at this level gets through of the list at the top of this file."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-probe-")))
        folder.chmod(0o755)
        (folder / "secret").write_text("secret")
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        victim = stack.enter_context(_victim())
        facts = json.dumps([listener.getsockname()[1], str(folder), os.getpid(), victim.pid])
        limits = Limits(wall_s=20, cpu_s=5, memory_mb=512, disk_mb=1, inodes=64)
        outcome = sandbox.run(_ATTEMPTS, facts.encode(), limits)
        if outcome.status != 0:
            said = outcome.stderr.decode("utf-8", "replace").strip()
            raise SandboxFailure(f"the probe ended with {outcome.status}: {said[-300:]}")
        leaks = json.loads(outcome.stdout)
        # With process ids of its own, the number may have been a process of the sandbox.
        with contextlib.suppress(subprocess.TimeoutExpired):
            victim.wait(0.2 if "signals" in leaks else 0)
        if "signals" in leaks and victim.returncode is None:
            leaks.remove("signals")
        return tuple(leaks)


_VICTIM = """
import os, signal
signal.signal(signal.SIGWINCH, lambda *_: os._exit(0))  # others ignore this one
print("ready", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def _victim() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the trainer that ends when it is reached by a signal."""
    command = [interpreter(), "-I", "-S", "-c", _VICTIM]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        try:
            yield victim
        finally:
            victim.kill()
