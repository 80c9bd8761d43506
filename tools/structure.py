"""Measures the structure of checkouts: `python -m tools.structure [CHECKOUT ...] [--step]`.

One column per checkout, so that an older tree can be compared with this one. The counting rules:

files, lines    Python files of the installed packages: top-level folders with an `__init__.py`,
                tests and tools excluded. Lines are physical lines; the median skips empty files.
entries         Python files and folders with Python files directly in a folder, except
                `__init__.py`. A slot is a folder whose `__init__.py` creates or extends a
                registry: neither its files nor its place in the parent folder are counted.
helpers         Functions and methods named `_x` (no dunders, none nested in a function) that are
                referenced exactly once outside their own body, by name or attribute, in their own
                file or in a file of the same package that imports from it. Per 1000 lines.
long functions  More than 60 lines from `def` to the last line, docstring included.
names           Classes, and file stems except `__init__` and `__main__`, that occur twice or more.
Any             Uses of the name `Any`, imports excluded, per 1000 lines.
nesting         Depth of `if`, `for`, `while`, `with`, `try` and `match` in a function; an `elif`
                is as deep as its `if`. Functions deeper than 3, and the greatest depth.
executed        With --step: files of the packages in which a function runs between `Run.collect`
                and `Run.finish` in a one-step run of smoke/grpo with drop_uniform (sys.setprofile).
to read         The same without `UNREAD` (plain types, recipe machinery, metrics, monitors);
                engine, verifier, model and parallelism count as one file each (`READ_AS_ONE`).
"""

import argparse
import ast
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeAlias

LONG, DEEP = 60, 3
BESIDE = ("tests", "tools", "docs")
BLOCKS = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.Match,
)  # fmt: skip
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
UNREAD = (
    "recipes/", "rewards/types", "rollout/types", "trainer/metrics", "trainer/monitor/",
    "trainer/progress", "trainer/record", "trainer/describe", "trainer/main_rank",
    "trainer/parallel/rank_zero", "trainer/config", "trainer/recipe/", "trainer/oversight",
    "trainer/run/reward_monitor", "rollout/tally", "rollout/collector/stats",
)  # fmt: skip
READ_AS_ONE = {  # the anchors' generator, rubric, model and parallelism come from libraries
    "engine": ("rollout/engines/", "rollout/generation"),  # was in engines/
    "verifier": ("rewards/",),
    "model": (
        "trainer/models/", "rollout/attention", "trainer/trunk", "trainer/head", "trainer/scorer",
    ),
    "parallelism": (
        "trainer/parallel/", "trainer/replicas", "trainer/sharding", "trainer/optimizer",
    ),
}  # fmt: skip

TRACE = """
import runpy, sys, threading
root, report, *arguments = sys.argv[1:]
files, running = set(), []
def profile(frame, event, argument):
    code = frame.f_code
    if event != "call" or not code.co_filename.startswith(root + "/"):
        return
    if code.co_qualname == "Run.collect":
        running.append(True)
    elif code.co_qualname == "Run.finish" and running:
        open(report, "w").write("\\n".join(sorted(files)))
        running.clear()
        sys.setprofile(None)
    if running and "/.venv/" not in code.co_filename:
        files.add(code.co_filename[len(root) + 1:])
threading.setprofile(profile)
sys.setprofile(profile)
sys.argv = ["temper", *arguments]
runpy.run_module("trainer", run_name="__main__")
"""


@dataclass(frozen=True)
class Source:
    """A Python file of a checkout; `path` is relative to it."""

    path: Path
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def imports(self) -> list[ast.ImportFrom]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]

    @cached_property
    def references(self) -> Counter[str]:
        return references(self.tree)

    @property
    def is_slot(self) -> bool:
        """Whether it is a package's `__init__` that creates or extends a registry."""
        statements = (ast.Assign, ast.AnnAssign, ast.Expr)
        values = [n.value for n in self.tree.body if isinstance(n, statements)]
        calls = [value for value in values if isinstance(value, ast.Call)]
        created = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
        extended = [
            ast.literal_eval(call.args[0])
            for call in calls
            if isinstance(call.func, ast.Attribute) and call.func.attr == "extend"
        ]
        return self.path.name == "__init__.py" and (
            any(name.endswith("Registry") for name in created) or self.module in extended
        )


def sources(checkout: Path) -> list[Source]:
    """The Python files of the installed packages, sorted by path."""
    packages = [p.parent for p in checkout.glob("*/__init__.py") if p.parent.name not in BESIDE]
    paths = sorted(path for package in packages for path in package.rglob("*.py"))
    return [Source(path.relative_to(checkout), path.read_text("utf-8")) for path in paths]


def entries(files: Sequence[Source]) -> Counter[Path]:
    """How many files and folders each folder holds, beside the slots."""
    slots = {source.path.parent for source in files if source.is_slot}
    held = {s.path for s in files if s.path.name != "__init__.py" and s.path.parent not in slots}
    folders = {parent for source in files for parent in source.path.parents if parent.name}
    held |= {folder for folder in folders if folder not in slots and len(folder.parts) > 1}
    return Counter(path.parent for path in held)


def references(tree: ast.AST) -> Counter[str]:
    """How often each name is used, as a variable, as an attribute or in an import."""
    counted: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            counted[node.id] += 1
        elif isinstance(node, ast.Attribute):
            counted[node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            counted.update(alias.name for alias in node.names)
    return counted


def private_functions(source: Source) -> Iterator[Function]:
    """Top-level functions and methods whose names begin with one underscore."""
    classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    for body in (source.tree.body, *(node.body for node in classes)):
        for node in body:
            if isinstance(node, Function) and node.name.startswith("_") and node.name[1] != "_":
                yield node


def single_caller_helpers(files: Sequence[Source]) -> list[str]:
    """`path:name` of the private functions that one place refers to."""
    importers: dict[tuple[str, str], set[Source]] = {}  # by package and imported module
    for source in files:
        for node in source.imports:
            importers.setdefault((source.path.parts[0], node.module or ""), set()).add(source)
    helpers = []
    for source in files:
        users = {source, *importers.get((source.path.parts[0], source.module), ())}
        for function in private_functions(source):
            uses = sum(user.references[function.name] for user in users)
            if uses - references(function)[function.name] == 1:
                helpers.append(f"{source.path}:{function.name}")
    return helpers


def depth(node: ast.AST) -> int:
    """Levels of blocks below `node`; nested functions count for themselves, not here."""
    deepest = 0
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, Function | ast.ClassDef):
                continue
            is_elif = name == "orelse" and isinstance(node, ast.If) and isinstance(child, ast.If)
            deeper = isinstance(child, BLOCKS) and not (is_elif and len(value) == 1)
            deepest = max(deepest, depth(child) + deeper)
    return deepest


def repeated(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def repeated_classes(files: Sequence[Source]) -> list[str]:
    nodes = (node for source in files for node in source.tree.body)
    return repeated(node.name for node in nodes if isinstance(node, ast.ClassDef))


def repeated_stems(files: Sequence[Source]) -> list[str]:
    return repeated(s.path.stem for s in files if not s.path.stem.startswith("__"))


@cache
def executed(checkout: Path) -> list[str]:
    """Files in which a function runs during one training step on a tiny model."""
    from trainer.models.tiny import make_tiny
    from trainer.recipe.kinds import TinySpec

    checkout = checkout.resolve()
    with tempfile.TemporaryDirectory() as folder:
        make_tiny(TinySpec(layers=1, hidden=32, intermediate=64), Path(folder, "model"), seed=0)
        report = Path(folder, "files.txt")
        settings = [
            "steps=1", "filters=[drop_uniform]", f"model.path={folder}/model",
            f"output={folder}/run",
        ]  # fmt: skip
        flags = [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, "-c", TRACE, str(checkout), str(report)]
        done = subprocess.run(
            [*command, "train", "smoke/grpo", *flags],
            cwd=checkout, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not report.exists():
            raise RuntimeError(f"the training step of {checkout} failed:\n{done.stderr[-2000:]}")
        return report.read_text().split()


def to_read(paths: Sequence[str]) -> list[str]:
    """What one reads to follow the step: see the counting rules."""

    def place(path: str) -> str:
        return next((name for name, starts in READ_AS_ONE.items() if path.startswith(starts)), path)

    return sorted({place(path) for path in paths if not path.startswith(UNREAD)})


def figures(checkout: Path, *, step: bool) -> dict[str, str]:
    """The rows of the table for one checkout."""
    files = sources(checkout)
    lines = sum(source.lines for source in files)
    sizes = [source.lines for source in files if source.text.strip()]
    folder, most = entries(files).most_common(1)[0]
    functions = [(source, node) for source in files for node in source.functions]
    lengths = [(node.end_lineno or 0) - node.lineno + 1 for _, node in functions]
    depths = [depth(node) for _, node in functions]
    helpers = single_caller_helpers(files)
    uses = sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for source in files
        for node in ast.walk(source.tree)
    )
    classes, stems = repeated_classes(files), repeated_stems(files)
    rows = {
        "files": f"{len(files):,}",
        "lines": f"{lines:,}",
        "folders with Python files": str(len({source.path.parent for source in files})),
        "median lines per file": f"{statistics.median(sizes):g}",
        "most entries in a folder, beside slots": f"{most} ({folder})",
        "folders with more than 12 entries": str(sum(n > 12 for n in entries(files).values())),
        "single-caller private helpers per 1000 lines": f"{1000 * len(helpers) / lines:.1f}",
        f"functions over {LONG} lines": str(sum(length > LONG for length in lengths)),
        "longest function": str(max(lengths)),
        "median lines per function": f"{statistics.median(lengths):g}",
        f"functions nested deeper than {DEEP}": str(sum(deep > DEEP for deep in depths)),
        "deepest nesting": str(max(depths)),
        "class names defined twice or more": str(len(classes)),
        "file stems that occur twice or more": str(len(stems)),
        "`Any` per 1000 lines": f"{1000 * uses / lines:.1f}",
    }
    if step:
        paths = executed(checkout)
        rows["files executed in one training step"] = str(len(paths))
        rows["files to read to follow a step"] = str(len(to_read(paths)))
    return rows


def folder_table(checkout: Path) -> str:
    """Files and lines of every folder with Python files, in Markdown."""
    files = sources(checkout)
    count = Counter(source.path.parent for source in files)
    lines: Counter[Path] = Counter()
    for source in files:
        lines[source.path.parent] += source.lines
    rows = [f"| {f.as_posix()} | {n} | {lines[f]:,} |" for f, n in sorted(count.items())]
    return "\n".join(["| folder | files | lines |", "|---|---:|---:|", *rows])


def table(checkouts: Sequence[Path], *, step: bool) -> str:
    """One column per checkout, in Markdown."""
    columns = [figures(checkout, step=step) for checkout in checkouts]
    names = [checkout.name for checkout in checkouts]
    rows = [f"| {row} | {' | '.join(c[row] for c in columns)} |" for row in columns[0]]
    return "\n".join([f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}", *rows])


def moves(checkout: Path, before: str) -> str:
    """Where each file of `before` (a commit) is now, in Markdown: renamed, or joined to others."""
    listed = _git(checkout, "diff", "--find-renames=30%", "--name-status", before, "HEAD")
    rows = [line.split("\t") for line in listed.splitlines()]
    kept = [row for row in rows if row[1].endswith(".py") and not row[1].startswith(BESIDE)]
    defined: dict[str, set[str]] = {}  # name of a class or function -> files of today
    for source in sources(checkout):
        for name in _definitions(source.tree):
            defined.setdefault(name, set()).add(source.path.as_posix())
    found = []
    for status, old, *new in sorted(kept, key=lambda row: row[1]):
        if status.startswith("R"):
            found.append((old, f"`{new[0]}`"))
        elif status == "D":
            names = _definitions(ast.parse(_git(checkout, "show", f"{before}:{old}")))
            package = f"{old.split('/')[0]}/"
            same = [{f for f in defined.get(n, ()) if f.startswith(package)} for n in names]
            homes = set().union(*(files for files in same if len(files) == 1))
            joined = ", ".join(f"`{file}`" for file in sorted(homes))
            found.append((old, f"joined to {joined}" if joined else "removed"))
    return "\n".join(["| before | now |", "|---|---|", *(f"| `{a}` | {b} |" for a, b in found)])


def _git(checkout: Path, *command: str) -> str:
    return subprocess.run(
        ["git", *command], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout


def _definitions(tree: ast.Module) -> list[str]:
    """Names of the public classes and functions of a file."""
    nodes = [node for node in tree.body if isinstance(node, Function | ast.ClassDef)]
    return [node.name for node in nodes if not node.name.startswith("_")]


def main() -> None:
    about = (__doc__ or "").split("\n", 1)[0]
    parser = argparse.ArgumentParser(prog="python -m tools.structure", description=about)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path.cwd()])
    parser.add_argument("--step", action="store_true", help="also trace one training step")
    parser.add_argument("--folders", action="store_true", help="files and lines per folder")
    parser.add_argument("--moves", metavar="COMMIT", help="where its files are now")
    parser.add_argument("--list", action="store_true", help="name what was counted")
    arguments = parser.parse_args()
    checkouts = [checkout.resolve() for checkout in arguments.checkouts]
    print(table(checkouts, step=arguments.step))
    for checkout in checkouts if arguments.folders else ():
        print(f"\n{folder_table(checkout)}")
    if arguments.moves:
        print(f"\n{moves(checkouts[-1], arguments.moves)}")
    for checkout in checkouts if arguments.list else ():
        files = sources(checkout)
        print("\nclasses:", *repeated_classes(files))
        print("stems:", *repeated_stems(files))
        print("helpers:", *single_caller_helpers(files), sep="\n  ")
        if arguments.step:
            print("read:", *to_read(executed(checkout)), sep="\n  ")


if __name__ == "__main__":
    main()
