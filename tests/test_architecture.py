"""The rules that hold the layers apart, read from the sources.

Imports go one way; torch stays in the trainer and the engines; one registered function per slot
module, under the module's name, with a test file of its own. Filling the slots below the trainer
loads no heavy library. A failure reads `rewards/a.py:1: rewards may not import rollout.types`.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("recipes", "rewards", "rollout", "eval", "trainer")  # each may import those before it
TORCH = {"torch", "vllm", "deepspeed", "accelerate", "peft", "trl"}
TORCH_ALLOWED = {("rollout", "engines"), ("rollout", "attention.py"), ("rollout", "generation.py")}
HEAVY = {"transformers", "datasets", "sympy", "math_verify", "reasoning_gym", "matplotlib"}
REGISTERS = {"register", "controller"}


def sources(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            yield path.relative_to(root), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""


def layer_faults(root: Path) -> Iterator[str]:
    for path, tree in sources(root):
        layer = path.parts[0]
        above = {*LAYERS[LAYERS.index(layer) + 1 :], "tests"}
        for line, name in imports(tree):
            if name.split(".")[0] in above:
                yield f"{path}:{line}: {layer} may not import {name}"


def torch_faults(root: Path) -> Iterator[str]:
    for path, tree in sources(root):
        if path.parts[0] == "trainer" or path.parts[:2] in TORCH_ALLOWED:
            continue
        for line, name in imports(tree):
            if name.split(".")[0] in TORCH:
                yield f"{path}:{line}: torch is for trainer/ and rollout/engines/ only, not {name}"


def registered(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Top-level definitions under `@<slot>.register(...)` or `@number.controller(...)`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            calls = [d.func for d in node.decorator_list if isinstance(d, ast.Call)]
            if any(isinstance(call, ast.Attribute) and call.attr in REGISTERS for call in calls):
                yield node


def slot_faults(root: Path) -> Iterator[str]:
    for path, tree in sources(root):
        functions = list(registered(tree))
        if not functions or path.parts[0] == "recipes":  # schedules share one file
            continue
        for function in functions:
            if function.name != path.stem:
                yield f"{path}:{function.lineno}: {function.name} belongs in {function.name}.py"
        test = Path("tests", path.parent, f"test_{path.name}")
        if not (root / test).is_file():
            yield f"{path}:1: has no test file {test}"


RULES = (layer_faults, torch_faults, slot_faults)


@pytest.mark.parametrize("rule", RULES)
def test_the_repository_keeps_its_rules(rule) -> None:
    faults = list(rule(ROOT))
    assert not faults, "\n".join(["", *faults])


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("rewards/a.py", "from rollout.types import Group\n",
         "rewards/a.py:1: rewards may not import rollout.types"),
        ("recipes/a.py", "def f():\n    import trainer.loop\n",
         "recipes/a.py:2: recipes may not import trainer.loop"),
        ("trainer/a.py", "from tests import builders\n",
         "trainer/a.py:1: trainer may not import tests"),
        ("rollout/a.py", "from trainer import batch\n",
         "rollout/a.py:1: rollout may not import trainer"),
        ("eval/a.py", "def f():\n    import torch.nn\n",
         "eval/a.py:2: torch is for trainer/ and rollout/engines/ only, not torch.nn"),
        ("trainer/losses/gspo.py", "@loss.register()\ndef gspo(out, batch): ...\n",
         "trainer/losses/gspo.py:1: has no test file tests/trainer/losses/test_gspo.py"),
        ("rewards/verifiers/a.py", "@verifier.register()\nasync def b(problem, response): ...\n",
         "rewards/verifiers/a.py:2: b belongs in b.py\n"
         "rewards/verifiers/a.py:1: has no test file tests/rewards/verifiers/test_a.py"),
        ("trainer/controllers/a.py", "@number.controller()\ndef b(): ...\n",
         "trainer/controllers/a.py:2: b belongs in b.py\n"
         "trainer/controllers/a.py:1: has no test file tests/trainer/controllers/test_a.py"),
        # nothing wrong with these
        ("trainer/a.py", "import torch\nfrom rollout.types import Group\nfrom eval import x\n", ""),
        ("rollout/engines/a.py", "import torch\n", ""),
        ("rewards/a.py", "def f():\n    import sympy\nfrom rewards.types import Problem\n", ""),
        ("rollout/engines/decoding.py", "def helper(): ...\n", ""),
        ("recipes/slots/schedules.py", "@number.register()\ndef a(step): ...\n", ""),
    ],
)  # fmt: skip
def test_a_broken_rule_names_the_line(tmp_path: Path, file: str, text: str, fault: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert "\n".join(line for rule in RULES for line in rule(tmp_path)) == fault


def test_every_folder_that_ships_is_listed_as_a_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*")]
    shipped = {path.parent for path in files if path.suffix in (".py", ".yaml")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in shipped}
    listed = set(project["tool"]["setuptools"]["packages"])
    assert listed == names, f"pyproject.toml: add {names - listed}, remove {listed - names}"


FILL = """
import sys
import eval.evaluate, eval.suite, rollout.collector.collector, rollout.problems
from rewards.verifiers import verifier
from rollout.buffers import buffer
from rollout.environments import environment
from rollout.filters import filter_
from rollout.samplers import sampler
from rollout.sources import source
assert all(slot.names() for slot in (verifier, buffer, environment, filter_, sampler, source))
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


@pytest.mark.slow
def test_filling_the_slots_below_the_trainer_loads_nothing_heavy() -> None:
    command = [sys.executable, "-c", FILL, *TORCH, *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
