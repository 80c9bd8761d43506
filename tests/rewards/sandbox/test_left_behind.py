"""What a confined program leaves behind when it or the trainer ends: no process and no folder."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rewards.sandbox import choose
from rewards.sandbox.confined import FOLDER_PREFIX, family, remove_folder
from tests.support.sandboxes import EVERY_LEVEL, at, processes_of

pytestmark = pytest.mark.slow


ROOT = Path(__file__).resolve().parents[3]


SLEEP = "import time\ntime.sleep(600)"


STAY = f"import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n{SLEEP}"


@pytest.mark.parametrize("program", [SLEEP, STAY])
@EVERY_LEVEL
def test_a_trainer_that_is_killed_takes_its_programs_with_it(level: str, program: str) -> None:
    at(level)
    code = (
        "from rewards.sandbox import choose, Limits\n"
        f"choose({level!r}).run({program!r}, limits=Limits(wall_s=600))\n"
    )
    with tempfile.TemporaryDirectory() as folder:  # nobody is left to remove the program's own
        os.chmod(folder, 0o755)
        trainer = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: sleeping(trainer.pid))
        trainer.kill()
        trainer.wait()
        wait_until(lambda: not processes_of(trainer.pid))


@EVERY_LEVEL
def test_a_trainer_that_is_killed_takes_the_runs_of_a_script_with_it(level: str) -> None:
    at(level)
    code = (
        "import asyncio\n"
        "from rewards.types import Message, Problem\n"
        "from rewards.verifiers.code_tests import code_tests\n"
        "ask = (Message(role='user', content=''),)\n"
        "tests = {'inputs': ['1'], 'outputs': ['1']}\n"
        "problem = Problem(id='p', messages=ask, answer='', columns=tests)\n"
        f"asyncio.run(code_tests(problem, {STAY!r}, level={level!r}, test_s=300.0))\n"
    )
    processes = 3 if level == "rlimits" else 7  # the run and its parents, the grader and its
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        environment = {**os.environ, "TMPDIR": folder}
        trainer = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: len(processes_of(trainer.pid)) >= processes)
        trainer.kill()
        trainer.wait()
        wait_until(lambda: not processes_of(trainer.pid))


@EVERY_LEVEL
def test_no_process_is_left_for_the_machine_to_wait_for(level: str) -> None:
    at(level)
    code = (
        "import ctypes, os\n"
        "from rewards.sandbox import choose, Limits\n"
        "assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"  # orphans become our children
        f"sandbox = choose({level!r})\n"
        "for program in ('pass', 'import time; time.sleep(60)', 'import os; os._exit(1)'):\n"
        "    sandbox.run(program, limits=Limits(wall_s=0.5))\n"
        "try:\n"
        "    print('left', os.waitpid(-1, os.WNOHANG))\n"
        "except ChildProcessError:\n"
        "    print('none')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "none\n", done.stderr


def sleeping(trainer: int) -> bool:
    """Whether the program itself, the innermost process, is there and the probe is over."""
    line = family(trainer)
    return len(line) > 1 and b'"cpu_s": 10,' in Path(f"/proc/{line[-1]}/cmdline").read_bytes()


def wait_until(met: object) -> None:
    for _ in range(600):
        assert callable(met)
        try:
            if met():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("did not happen within half a minute")


def test_a_folder_however_deep_or_closed_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / f"{FOLDER_PREFIX}x"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    start = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        Path("file").write_text("x")
        os.mkdir("closed", 0)
    finally:
        os.fchdir(start)
        os.close(start)
    remove_folder(folder)
    assert os.listdir(tmp_path) == []


def test_a_start_that_fails_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = choose("rlimits")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        sandbox.run("pass")
    assert os.listdir(tmp_path) == []


def test_no_other_folder_is_ever_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="not made for a program"):
        remove_folder(tmp_path)
    assert os.listdir(tmp_path) == ["file"]
