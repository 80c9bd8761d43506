"""Commands that read a recipe import neither torch nor anything else that is heavy."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import ROOT, environment
from trainer.commands.deferred import defer

HEAVY = {
    *("torch._C", "transformers", "tokenizers", "accelerate", "peft", "trl", "deepspeed", "vllm"),
    *("datasets", "pandas", "pyarrow", "scipy", "sympy", "math_verify", "matplotlib", "wandb"),
}
COMMAND = """
import sys
from trainer.commands.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("IMPORTED", *sorted(set(HEAVY) & set(sys.modules)))
"""


def imported_by(*words: str) -> list[str]:
    code = f"HEAVY = {HEAVY!r}\n{COMMAND}"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.rpartition("IMPORTED")[2].split()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "explain"])
def test_reading_a_recipe_imports_nothing_heavy(command: str) -> None:
    assert imported_by(command, "recipes/quickstart.yaml") == []


@pytest.mark.slow
def test_listing_every_option_imports_no_torch() -> None:
    assert imported_by("schema") == []


def package(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("from . import inner\nvalue = 3\n")
    (folder / name / "inner.py").write_text("")


def test_a_deferred_module_is_executed_when_it_is_first_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "waits_for_use")
    monkeypatch.syspath_prepend(str(tmp_path))
    defer("waits_for_use")
    importlib.import_module("waits_for_use")
    module = importlib.import_module("waits_for_use")  # a second import looks at it, and no more
    assert "waits_for_use.inner" not in sys.modules
    assert module.value == 3
    assert sys.modules["waits_for_use"] is module
    assert module.inner is sys.modules["waits_for_use.inner"]
    defer("waits_for_use")  # imported already: stays
    assert sys.modules["waits_for_use"] is module


def test_importing_a_part_of_a_deferred_package_executes_the_package_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "waits_for_part")
    monkeypatch.syspath_prepend(str(tmp_path))
    defer("waits_for_part")
    importlib.import_module("waits_for_part.inner")
    assert vars(sys.modules["waits_for_part"])["value"] == 3


def test_a_package_that_is_not_installed_stays_missing() -> None:
    defer("no_such_package_anywhere")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_package_anywhere")
