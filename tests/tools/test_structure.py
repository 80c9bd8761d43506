"""What `tools.structure` counts, on a checkout of a few lines."""

from pathlib import Path

import pytest

from tools.structure import (
    executed,
    figures,
    repeated_classes,
    repeated_stems,
    single_caller_helpers,
    sources,
    table,
    to_read,
)

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "app/__init__.py": "",
    "app/a.py": """
from typing import Any

class Row: ...

class Box:
    def _once(self): ...
    def _twice(self, x: Any): ...
    def use(self):
        self._once(), self._twice(1), self._twice(2)

def _recursive(n):
    return _recursive(n - 1)

def _lent(): ...
def _unused(): ...
""",
    "app/b.py": """
from app.a import _lent, _recursive
class Row:
    def deep(self, x):
        for _ in x:
            if x:
                pass
            elif x is None:
                with x:
                    while x: break
""",
    "app/slot/__init__.py": "slot = Registry('slot')\n",
    "app/slot/a.py": "",
    "app/room/__init__.py": "",
    "app/room/_c.py": "",
    "tests/a.py": "class Row: ...\n",
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_helper_counts_when_one_place_outside_its_body_refers_to_it(checkout: Path) -> None:
    assert single_caller_helpers(sources(checkout)) == [
        "app/a.py:_recursive", "app/a.py:_lent", "app/a.py:_once",
    ]  # fmt: skip


def test_names_count_once_per_meaning_and_tests_are_left_out(checkout: Path) -> None:
    assert repeated_classes(sources(checkout)) == ["Row"]
    assert repeated_stems(sources(checkout)) == ["a"]


def test_the_table_has_a_row_per_figure(checkout: Path) -> None:
    rows = figures(checkout, step=False)
    assert rows["files"] == "7"
    assert rows["most entries in a folder, beside slots"] == "3 (app)"  # a.py, b.py, room
    assert rows["functions nested deeper than 3"] == "1"
    assert rows["deepest nesting"] == "4"
    assert rows["`Any` per 1000 lines"] == "37.0"  # one in 27 lines
    assert table([checkout], step=False).splitlines()[2] == "| files | 7 |"


def test_the_engine_the_verifier_the_model_and_its_parallelism_are_read_as_one_file_each() -> None:
    step = [
        "trainer/loop.py", "rollout/engines/hf.py", "rollout/generation.py",
        "rewards/types.py", "rewards/calling.py", "rewards/verifiers/format.py",
        "trainer/metrics.py", "trainer/models/backbone.py", "trainer/parallel/ranks.py",
    ]  # fmt: skip
    assert to_read(step) == ["engine", "model", "parallelism", "trainer/loop.py", "verifier"]


@pytest.mark.slow
def test_the_files_of_one_training_step_are_traced() -> None:
    files = executed(ROOT)
    assert {
        "trainer/loop.py",
        "trainer/losses/ppo_clip.py",
        "rollout/engines/embedded/engine.py",
    } <= set(files)
    assert "trainer/commands/cli.py" not in files
