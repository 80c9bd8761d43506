"""Programs that try to cheat, to break out or to do harm, under the strongest and weakest level.

Each file of `hostile/` defines `solve` in such a way that it is right only when its attack worked,
so a program that passes has got through. What the weakest level lets through is listed here, in
`LET_THROUGH`, and in docs/sandbox.md, and is shown to get through.
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewards.sandbox import Sandbox, choose
from rewards.types import Message, Problem, Verdict
from rewards.verifiers.code_tests import code_tests

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(path.stem for path in (Path(__file__).parent / "hostile").glob("*.py"))
TESTS = ["assert solve(2) == 4", "assert solve(3) == 9", "assert solve(11) == 121"]

# Programs that a leak, as `Sandbox.leaks` names it, lets pass. Only `rlimits` may have any.
LET_THROUGH = {
    "metadata": {"ask_for_metadata"},
    "disk": {"fill_disk", "many_files"},
    "threads": set(),  # `thread_bomb` starts them without end, and so never passes
}


class Surroundings:
    """What a program could reach: files, servers, queues, memory, a secret, other processes."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="around-")))
        self.folder.chmod(0o755)
        (self.folder / "secret").write_text("secret")
        (self.folder / "open").mkdir()
        (self.folder / "open").chmod(0o777)
        (self.folder / "open" / "target").write_text("mine")
        (self.folder / "open" / "target").chmod(0o666)
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir(mode=0o755)
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.tcp.getsockname()[1]
        self.servers = [self.tcp]
        for family, kind, name in (
            (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", self.port)),
            (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0hostile-dgram-{self.port}"),
            (socket.AF_UNIX, socket.SOCK_STREAM, f"\0hostile-{self.port}"),
            (socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "open" / "socket")),
        ):
            server = stack.enter_context(socket.socket(family, kind))
            server.bind(name)
            if kind == socket.SOCK_STREAM:
                server.listen()
            self.servers.append(server)
        (self.folder / "open" / "socket").chmod(0o777)
        for server in self.servers:
            server.setblocking(False)
        libc = ctypes.CDLL(None, use_errno=True)
        self.queue = libc.msgget(0, 0o1666)
        stack.callback(libc.msgctl, self.queue, 0, None)
        self.segment = libc.shmget(0, 4096, 0o1666)
        stack.callback(libc.shmctl, self.segment, 0, None)
        name = f"/hostile-{self.port}".encode()
        self.named_queue = libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o666, None)
        stack.callback(libc.mq_close, self.named_queue)
        stack.callback(libc.mq_unlink, name)
        assert min(self.queue, self.segment, self.named_queue) >= 0, os.strerror(ctypes.get_errno())
        self.victim = os.fork()
        if self.victim == 0:
            time.sleep(600)
            os._exit(0)
        stack.callback(self.end_victim)

    def end_victim(self) -> None:
        """End the process that a program may have wanted to reach."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.victim, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.victim, 0)

    def program(self, name: str) -> str:
        source = (Path(__file__).parent / "hostile" / f"{name}.py").read_text()
        facts = {"@FOLDER@": self.folder, "@PORT@": self.port, "@TRAINER@": os.getpid()}
        facts["@HOME@"] = pwd.getpwuid(os.getuid()).pw_dir
        facts |= {"@VICTIM@": self.victim, "@QUEUE@": self.queue, "@SEGMENT@": self.segment}
        for mark, fact in facts.items():
            source = source.replace(mark, str(fact))
        return source

    def packets(self) -> int:
        """Connections and packets that arrived."""
        count = 0
        for server in self.servers:
            with contextlib.suppress(BlockingIOError):
                if server.type == socket.SOCK_DGRAM:
                    server.recv(1)
                else:
                    server.accept()[0].close()
                count += 1
        return count

    def files(self) -> dict[str, object]:
        """Everything that a program may have changed."""
        found: dict[str, object] = {}
        for path in sorted(self.folder.rglob("*")):
            about = path.lstat()
            times = about.st_mtime_ns if path.is_file() else 0
            found[str(path)] = (about.st_mode, about.st_uid, about.st_size, times)
        for place in ("/var/tmp", "/etc", "/root", "/usr/lib", "/dev", "/", "/run", "/opt"):
            found[place] = os.path.lexists(f"{place}/hostile-mark")
        return found


def processes_left() -> list[str]:
    """Confined processes of this test run: their command line names this process."""
    mark = f'"parent": {os.getpid()},'.encode()
    left = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                left.append(path.parent.name)
    return left


@contextlib.contextmanager
def unharmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Surroundings]:
    """Surroundings that must be the same afterwards, with no process and no packet more."""
    with contextlib.ExitStack() as stack:
        around = Surroundings(stack)
        monkeypatch.setattr(tempfile, "tempdir", str(around.temporary))
        monkeypatch.setenv("HOSTILE_SECRET", "never to be seen")
        before = around.files()
        yield around
        assert os.waitpid(around.victim, os.WNOHANG) == (0, 0), "another process was killed"
        assert processes_left() == []
        assert around.packets() == 0
        assert around.files() == before


def call_verifier(program: str, level: str, *, test_s: float = 0.4) -> Verdict:
    problem = Problem(
        id="square",
        messages=(Message(role="user", content="Write solve(n), the square of n."),),
        answer="",
        columns={"test_list": TESTS},
    )
    return asyncio.run(
        code_tests(problem, program, level=level, test_s=test_s, total_s=10 * test_s, memory_mb=256)
    )


def sandbox_of(strength: str) -> Sandbox:
    return choose("auto" if strength == "strongest" else "rlimits")


@pytest.mark.parametrize("strength", ["strongest", "weakest"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_neither_passes_nor_leaves_anything_behind(
    name: str, strength: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = sandbox_of(strength)
    if unlisted := set(sandbox.leaks) - LET_THROUGH.keys():
        pytest.skip(f"here the weakest level lets through {', '.join(sorted(unlisted))}")
    allowed = set().union(*(LET_THROUGH[leak] for leak in sandbox.leaks))
    with unharmed(monkeypatch) as around:
        patience = 3.0 if name in allowed else 0.4
        verdict = call_verifier(around.program(name), sandbox.level, test_s=patience)
    assert verdict.correct == (name in allowed), verdict.reason
    assert not verdict.is_missing, verdict.reason


@pytest.mark.parametrize("strength", ["strongest", "weakest"])
def test_an_honest_program_passes_in_the_same_surroundings(
    strength: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unharmed(monkeypatch):
        honest = "def solve(n):\n    return n * n"
        verdict = call_verifier(honest, sandbox_of(strength).level, test_s=3.0)
    assert verdict.correct, verdict.reason


def test_there_are_at_least_forty_kinds() -> None:
    assert len(PROGRAMS) >= 40


def test_what_the_weakest_level_lets_through_is_documented() -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text()
    for leak, names in LET_THROUGH.items():
        assert f"`{leak}`" in text
        for name in names:
            assert f"`{name}`" in text
