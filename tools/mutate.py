"""Change one operator, constant or condition at a time, and see whether a test fails.

    make mutants                              150 mutants of the core, the list below
    python -m tools.mutate --count 40 --seed 3 trainer/losses trainer/ops

A mutant is one change to one file in a copy of the checkout: a comparison or an arithmetic operator
replaced by its neighbour, `and` by `or`, a `not` removed, a number moved by one, a boolean turned,
an `if` whose condition is always false, a call statement left out. First the tests that mirror the
file run, with the contracts of its slot; what survives them meets every fast test. Survivors are
printed with file, line and change: a test is missing there, or the change makes no difference.
Every fast test runs once without a mutant first, and must pass.
Docstrings, annotations, `assert` and messages of errors are left alone. The exit code is 0.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = (
    "trainer/batch.py", "trainer/ops", "trainer/algorithm.py", "trainer/advantages",
    "trainer/losses",
    "trainer/terms", "trainer/corrections", "trainer/reductions", "trainer/masks",
    "trainer/selections", "trainer/shaping", "trainer/controllers", "trainer/models",
    "trainer/policy", "trainer/parallel", "trainer/monitor/checkpoint.py", "rollout/attention.py",
    "rollout/collector", "rollout/filters", "rollout/samplers", "rollout/verification.py",
)  # fmt: skip
CONTRACTS = {  # of a slot's folder
    "advantages": "advantage", "controllers": "controller", "corrections": "correction",
    "filters": "filter", "losses": "loss", "masks": "mask", "reductions": "reduction",
    "samplers": "sampler", "selections": "selection", "shaping": "shaping", "terms": "term",
}  # fmt: skip
COPIED = ("eval", "recipes", "rewards", "rollout", "tests", "tools", "trainer", "docs")
DEADLINE_S = 240  # a mutant that never ends is caught
NEIGHBOURS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One file with one change."""

    file: Path  # relative to the checkout
    line: int
    before: str
    after: str
    text: str  # of the whole changed file


def mutants(file: Path) -> list[Mutant]:
    """Every change of the file, in the order of its lines."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found: list[Mutant] = []
    for node, attribute, value in list(_changes(tree)):
        statement = _statement_of(tree, node)
        line, before = node.lineno, ast.unparse(statement)
        kept = getattr(node, attribute)
        setattr(node, attribute, value)
        text, after = ast.unparse(tree), ast.unparse(statement)
        setattr(node, attribute, kept)
        if before != after:
            found.append(Mutant(file=file, line=line, before=before, after=after, text=text))
    return sorted(found, key=lambda mutant: mutant.line)


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str, object]]:
    """A node, and an attribute of it with another value."""
    for node in _executed(tree):
        match node:
            case ast.Compare(ops=[operator]) if type(operator) in NEIGHBOURS:
                yield node, "ops", [NEIGHBOURS[type(operator)]()]
            case ast.BinOp(op=operator) | ast.BoolOp(op=operator) if type(operator) in NEIGHBOURS:
                yield node, "op", NEIGHBOURS[type(operator)]()
            case ast.Constant(value=bool() as value):
                yield node, "value", not value
            case ast.Constant(value=int() | float() as value):
                yield node, "value", value + 1
            case ast.If():
                yield node, "test", ast.Constant(value=False)
            case ast.IfExp(orelse=other):
                yield node, "body", other
            case ast.Expr(value=ast.Call()):
                yield node, "value", ast.Constant(value=None)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield node, "op", ast.UAdd()


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes inside functions, without annotations, defaults, assertions and raises."""
    left_out = ast.Assert | ast.Raise | ast.arguments | ast.AnnAssign
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]  # whether it is inside a function
    while waiting:
        node, inside = waiting.pop()
        if inside:
            yield node
        children: Iterable[ast.AST] = ast.iter_child_nodes(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            children, inside = node.body, True
        waiting += [(child, inside) for child in children if not isinstance(child, left_out)]


def _statement_of(tree: ast.Module, node: ast.AST) -> ast.stmt:
    """The innermost statement that holds the node."""
    found: ast.stmt | None = None
    for statement in ast.walk(tree):
        if isinstance(statement, ast.stmt) and any(inner is node for inner in ast.walk(statement)):
            found = statement  # ast.walk goes from the outside in
    assert found is not None, "every node is in a statement"
    return found


def near_tests(file: Path) -> list[str]:
    """The tests that mirror the file, and the contracts of its slot."""
    mirror = Path("tests", file.parent, f"test_{file.name}")
    contract = Path("tests/contracts", f"test_{CONTRACTS.get(file.parent.name, '')}.py")
    near = [path for path in (mirror, contract) if (ROOT / path).is_file()]
    return [str(path) for path in near or [Path("tests", file.parent)] if (ROOT / path).exists()]


def run_fast(tests: Sequence[str], place: Path, deadline_s: float) -> tuple[bool, str]:
    """Whether the fast ones of the tests pass in the checkout at `place`, and their last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-m", "not slow", *tests],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=deadline_s,
    )
    return done.returncode == 0, "\n".join(done.stdout.splitlines()[-10:])


def baseline_s(place: Path, tests: Sequence[str]) -> float:
    """Seconds that the tests take without a mutant; ends the program where one fails.

    A test that fails anyway would count every mutant that meets it as caught.
    """
    start = time.monotonic()
    passes, words = run_fast(tests, place, deadline_s=7200)
    if not passes:
        raise SystemExit(f"a test fails without any mutant, so nothing can be measured:\n{words}")
    return time.monotonic() - start


def survives(
    mutant: Mutant, place: Path, tests: Sequence[str], deadline_s: float = DEADLINE_S
) -> bool:
    """Whether all of the tests pass in the checkout at `place` with the mutant in it."""
    if not tests:
        return True
    target = place / mutant.file
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.text, encoding="utf-8")
    try:
        passes, _ = run_fast(tests, place, deadline_s)
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(original, encoding="utf-8")
    return passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=CORE, help="files or folders to change")
    parser.add_argument("--count", type=int, default=150, help="mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    asked = parser.parse_args()
    files = [
        file.relative_to(ROOT)
        for path in asked.paths
        for file in ([ROOT / path] if path.endswith(".py") else sorted((ROOT / path).rglob("*.py")))
    ]
    every = [mutant for file in files for mutant in mutants(file)]
    drawn = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    alive: list[Mutant] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [*ROOT.glob("*.toml"), *ROOT.glob("*.md"), ROOT / "Makefile"]:
            shutil.copy(path, place)
        # Of every fast test; a busy machine may be some times slower later than now.
        deadline_s = max(DEADLINE_S, 5 * baseline_s(place, ["tests"]))
        for index, mutant in enumerate(drawn, start=1):
            lives = survives(mutant, place, near_tests(mutant.file)) and survives(
                mutant, place, ["tests"], deadline_s
            )
            alive += [mutant] if lives else []
            minutes = (time.monotonic() - start) / 60
            state = "SURVIVES" if lives else "caught"
            print(
                f"{index}/{len(drawn)}  {minutes:.0f} min  {state}  {mutant.file}:{mutant.line}",
                flush=True,
            )
    print(f"\n{len(drawn) - len(alive)} of {len(drawn)} mutants caught; {len(every)} possible")
    for mutant in sorted(alive, key=lambda found: (found.file, found.line)):
        print(f"\n{mutant.file}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}")


if __name__ == "__main__":
    main()
