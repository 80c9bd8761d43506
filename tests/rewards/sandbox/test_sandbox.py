"""What a confined program finds, what it may use, and how it ends; at every level that is here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rewards.sandbox import LEVELS, Limits, Sandbox, SandboxUnavailable, choose
from rewards.sandbox.command_line import library
from rewards.sandbox.probe import closed_to_others
from tests.support.sandboxes import EVERY_LEVEL, at, processes_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def report(sandbox: Sandbox, expression: str) -> object:
    """The value of an expression inside, as JSON."""
    program = f"import json, os, sys\nprint(json.dumps({expression}))"
    outcome = sandbox.run(program, limits=Limits(wall_s=30))
    assert outcome.status == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_auto_takes_the_strongest_level_that_works_and_says_why_not_a_stronger_one() -> None:
    chosen = choose("auto")
    stronger = LEVELS[: LEVELS.index(chosen.level)]
    assert [refused.split(" ")[0] for refused in chosen.refused] == list(stronger)
    assert f"'{chosen.level}'" in chosen.describe()
    assert chosen.rank == 3 - len(stronger)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="no sandbox level 'docker'"):
        choose("docker")


def test_without_bubblewrap_the_named_level_is_an_error_and_auto_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="bwrap is not installed"):
        choose.__wrapped__("bubblewrap")
    chosen = choose.__wrapped__("auto")
    assert chosen.level != "bubblewrap"
    assert "bwrap is not installed" in chosen.describe()


@pytest.mark.parametrize("level", LEVELS[:2])
def test_the_upper_levels_let_nothing_through(level: str) -> None:
    at(level)  # skips where this level does not work
    assert set(choose(level).leaks) <= {"processes", "threads"}


@EVERY_LEVEL
def test_output_errors_and_status_come_back(level: str) -> None:
    program = "import sys\nprint(input()[::-1])\nprint('no', file=sys.stderr)\nsys.exit(3)"
    outcome = at(level).run(program, b"abc\n")
    assert (outcome.status, outcome.stopped) == (3, "")
    assert (outcome.stdout, outcome.stderr) == (b"cba\n", b"no\n")


@EVERY_LEVEL
def test_an_exception_is_printed_without_our_own_frames(level: str) -> None:
    outcome = at(level).run("def f():\n    return 1 / 0\nf()")
    assert outcome.status == 1
    lines = outcome.stderr.decode().splitlines()
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert [line for line in lines if "File" in line] == [
        '  File "program.py", line 3, in <module>',
        '  File "program.py", line 2, in f',
    ]


@EVERY_LEVEL
def test_the_environment_holds_nothing_of_the_trainers(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    names = report(at(level), "sorted(os.environ)")
    known = "HOME LANG OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH PWD PYTHONHASHSEED TMPDIR"
    assert isinstance(names, list)
    assert set(names) <= set(known.split())


@EVERY_LEVEL
def test_the_program_is_not_the_user_that_started_it(level: str) -> None:
    sandbox = at(level)
    if os.geteuid() != 0 and level == "rlimits":
        pytest.skip("an ordinary user cannot become another one without a user namespace")
    user, groups = report(sandbox, "[os.getuid(), os.getgroups()]")  # type: ignore[misc]
    assert user != os.getuid()
    assert 0 not in groups


@EVERY_LEVEL
def test_only_the_library_can_be_seen(level: str) -> None:
    sandbox = at(level)
    if level == "rlimits":
        outcome = sandbox.run(f"import os\nos.listdir({str(ROOT)!r})")
        assert b"PermissionError" in outcome.stderr or not sandbox.landlocked
        return
    top = report(sandbox, "sorted(os.listdir('/'))")
    assert isinstance(top, list)
    assert not {"proc", "sys", "home", "var", "boot", "mnt"} & set(top)
    # a checkout or an interpreter below /tmp leaves the names of the folders above it
    shown = {path.split("/")[2] for path in library() if path.startswith("/tmp/")}
    assert set(report(sandbox, "os.listdir('/tmp')")) == shown  # type: ignore[call-overload]


@EVERY_LEVEL
def test_the_temporary_folder_can_be_used_and_is_gone_afterwards(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = at(level)
    with tempfile.TemporaryDirectory(prefix="around-") as folder:
        os.chmod(folder, 0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        program = "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    f.write('x')\n"
        outcome = sandbox.run(f"{program}open('kept', 'w').write('x')\nprint('done')")
        assert outcome.stdout == b"done\n", outcome.stderr
        assert os.listdir(folder) == []


@EVERY_LEVEL
def test_threads_and_event_loops_work(level: str) -> None:
    program = (
        "import asyncio, threading\n"
        "seen = []\n"
        "threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
        "async def main():\n"
        "    return await asyncio.to_thread(sum, seen)\n"
        "print(asyncio.run(main()))\n"
    )
    outcome = at(level).run(program)
    assert outcome.stdout == b"28\n", outcome.stderr


@EVERY_LEVEL
def test_every_limit_ends_the_program(level: str) -> None:
    sandbox = at(level)
    asleep = sandbox.run("import time\ntime.sleep(100)", limits=Limits(wall_s=0.5))
    assert (asleep.stopped, asleep.status) == ("deadline", 137)
    busy = sandbox.run("while True: pass", limits=Limits(cpu_s=1, wall_s=60))
    assert (busy.stopped, busy.status) == ("", 128 + signal.SIGXCPU)
    flood = sandbox.run("while True: print('x' * 1000)", limits=Limits(output_kb=8, wall_s=60))
    assert (flood.stopped, len(flood.stdout)) == ("output", 8192)
    large = sandbox.run("x = bytearray(1 << 30)", limits=Limits(memory_mb=128))
    assert large.stderr.splitlines()[-1] == b"MemoryError"
    written = "f = open('x', 'wb', 0)\nn = 0\nwhile n < 1 << 23: n += f.write(bytes(1 << 20))"
    full = sandbox.run(written, limits=Limits(disk_mb=4))
    assert b"OSError" in full.stderr


@EVERY_LEVEL
def test_processes_may_be_started_only_where_they_can_be_ended(level: str) -> None:
    sandbox = at(level)
    program = (
        "import os\nif os.fork():\n    print('parent')\nelse:\n    import time; time.sleep(99)"
    )
    assert b"PermissionError" in sandbox.run(program).stderr
    if level == "rlimits":
        with pytest.raises(ValueError, match="count and end"):
            sandbox.run(program, limits=Limits(processes=4))
        return
    outcome = sandbox.run(program, limits=Limits(processes=4, wall_s=1.0))
    assert outcome.stdout == b"parent\n"
    assert processes_of(os.getpid()) == []


@EVERY_LEVEL
def test_installed_packages_are_there_only_when_asked_for(level: str) -> None:
    sandbox = at(level)
    program = "import pydantic\nprint('found')"
    assert b"ModuleNotFoundError" in sandbox.run(program).stderr
    assert sandbox.run(program, packages=True, limits=Limits(wall_s=60)).stdout == b"found\n"


@EVERY_LEVEL
def test_sets_come_out_in_the_same_order_each_time(level: str) -> None:
    sandbox = at(level)
    program = "print({str(n) for n in range(50)})"
    assert sandbox.run(program).stdout == sandbox.run(program).stdout


def test_a_library_that_is_closed_to_others_is_named(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3.11").mkdir(parents=True)
    (tmp_path / "lib" / "python3.11" / "os.py").write_text("")
    for folder in (tmp_path, tmp_path / "lib", tmp_path / "lib" / "python3.11"):
        folder.chmod(0o755)
    (tmp_path / "lib" / "python3.11" / "os.py").chmod(0o644)
    assert closed_to_others([str(tmp_path / "lib")]) == []
    (tmp_path / "lib" / "python3.11").chmod(0o700)
    (reason,) = closed_to_others([str(tmp_path / "lib")])
    assert f"{tmp_path}/lib/python3.11 may not be read by other users (mode 700)" in reason


@pytest.mark.parametrize("level", LEVELS[:2])
def test_processes_together_have_the_memory_of_one_where_there_are_control_groups(
    level: str,
) -> None:
    sandbox = at(level)
    if not sandbox.grouped:
        pytest.skip("control groups cannot be made here")
    program = (
        "import os, time\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        held = bytearray(os.urandom(1 << 20)) * 90\n"
        "        time.sleep(1)\n"
        "        os._exit(0)\n"
        "print([os.wait()[1] for _ in range(6)])\n"
    )
    outcome = sandbox.run(program, limits=Limits(processes=8, memory_mb=128, disk_mb=1))
    assert outcome.stdout != b"[0, 0, 0, 0, 0, 0]\n"
    alone = sandbox.run(
        "held = bytearray(90 << 20)\nprint(len(held))", limits=Limits(memory_mb=128)
    )
    assert alone.stdout == b"94371840\n", alone.stderr


def test_bubblewrap_is_preferred_where_it_works() -> None:
    assert choose("auto").level == at("bubblewrap").level == "bubblewrap"


@EVERY_LEVEL
def test_a_checkout_below_tmp_can_be_sandboxed(level: str) -> None:
    at(level)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        for package in ("recipes", "rewards"):
            shutil.copytree(ROOT / package, Path(folder) / package)
        program = "print(2 + 2)"
        code = (
            "from rewards.sandbox import choose, Limits\n"
            f"done = choose({level!r}).run({program!r}, limits=Limits(wall_s=30))\n"
            "print(done.status, done.stdout, done.stderr)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout == "0 b'4\\n' b''\n", done.stderr
