"""docs/add-a-slot-function.md works when it is pasted: into a copy of the repository."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import ROOT, environment, numbers, tiny_base

PAGE = ROOT / "docs" / "add-a-slot-function.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
FILES = {text.split("\n", 1)[0].removeprefix("# "): text for kind, text in BLOCKS if kind != "bash"}
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
SKIPPED = ("runs", ".*", "__pycache__", "*.egg-info", "build")


def test_the_page_adds_one_code_file_one_test_and_one_fragment() -> None:
    assert list(FILES) == [
        "trainer/advantages/median.py",
        "tests/trainer/advantages/test_median.py",
        "recipes/algorithms/median.yaml",
    ]
    assert not [name for name in FILES if (ROOT / name).exists()], "choose another example"


@pytest.mark.slow
def test_its_files_and_commands_work_in_a_copy_of_the_repository(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*SKIPPED))
    for name, text in FILES.items():
        (copy / name).write_text(text)
    tiny_base(copy / "runs" / "quickstart" / "base")
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        run(command, copy)
    assert [step for step, _ in numbers(copy / "runs" / "median")] == [1, 2]
    assert "### median" in (copy / "docs" / "algorithms.md").read_text()
    assert "(../recipes/algorithms/median.yaml)" in (copy / "docs" / "recipes.md").read_text()


def run(command: str, folder: Path) -> None:
    """The line as a user would type it there, with this interpreter."""
    name, *rest = shlex.split(command)
    words = [sys.executable, *(["-m", "trainer"] if name == "temper" else []), *rest]
    found = subprocess.run(
        words,
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, f"{command}\n{found.stdout[-3000:]}\n{found.stderr[-3000:]}"
