"""What code does, as {definition: hashes}, wherever it is kept.

    definitions(files)    {"rate": ("1f0c...",), "LIMIT": ("77aa...",), "import math": ("...",)}
    verifier_files(file)  the file and what it imports of `rewards`, or names as a worker's target
    plugin_files(file)    a user's file and those of the same folder or package that it imports

A definition is a top-level function, class, assignment or statement. Its hash has no comments,
formatting, docstrings and option descriptions in it, and no word about where other code of ours is:
moving a definition, splitting a file or joining two leaves every hash as it is. Imports of the
standard library and of packages are definitions too, each counted once.

What this does not see: two definitions of one name in different files that are swapped.
"""

import ast
import functools
import hashlib
import re
import site
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rewards.plugins.source import parse_python

_ROOT = Path(__file__).resolve().parents[2]
_OURS = frozenset({"recipes", "rewards", "rollout", "eval", "trainer"})
_TARGET = re.compile(r"(rewards(?:\.\w+)+)(:\w+)?")  # of a call to a worker
_WHOLE = "rewards.sandbox"  # its programs are started by their path, not imported
_WHOLE_ROOM = _ROOT.joinpath(*_WHOLE.split("."))
_LETTERS = 12  # of a hash that people compare

# What carries a question to a verifier and the answer back, and cannot change the answer.
MACHINERY = frozenset(
    {"rewards.types", "rewards.verifiers", "rewards.calling", "rewards.background"}
) | {f"rewards.http.{name}" for name in ("usage", "client", "endpoint", "reply_cache")}
MACHINERY_ROOMS = ("rewards.audit", "rewards.plugins", "rewards.workers")
JOBS = "rewards.workers.jobs"  # the exception there: what verifiers have done in a worker


def definitions(files: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """Every top-level definition of the files by its name, with the hash of each of that name."""
    found: dict[str, list[str]] = defaultdict(list)
    imports: set[str] = set()
    for file in files:
        module = _parsed(file)
        imports |= module.imports
        for name, digest in module.definitions:
            found[name].append(digest)
    known = {name: tuple(sorted(digests)) for name, digests in found.items()}
    return known | {name: (_hash(name),) for name in imports}


def verifier_files(file: Path) -> frozenset[Path]:
    """The file and what it imports of `rewards`, directly or not."""

    def counts(module: str) -> bool:
        room = ".".join(module.split(".")[:2])
        in_machinery = room in MACHINERY_ROOMS and not module.startswith(JOBS)
        return module.startswith("rewards.") and not (module in MACHINERY or in_machinery)

    return _reached(file, counts)


def plugin_files(file: Path) -> frozenset[Path]:
    """A plug-in's file, and those of its folder or package that it imports, directly or not."""
    return _reached(file, lambda module: module.split(".")[0] not in _OURS)


def packages_of(files: Iterable[Path]) -> set[str]:
    """Names of the packages that the files import, the standard library left out."""
    roots = {name.split(".")[0] for file in files for name in _parsed(file).modules}
    return roots - _OURS - {"pydantic"} - sys.stdlib_module_names


def whole_hash(file: Path) -> str:
    """Of a file as one text, the form in which older checkpoints have it."""
    tree = parse_python(file.read_bytes())
    for node in ast.walk(tree):
        _drop_docstring(node)
    return _hash(ast.unparse(tree))


# -- files ---------------------------------------------------------------------------------------


def _reached(file: Path, counts: Callable[[str], bool]) -> frozenset[Path]:
    """The file and those behind the imports that count, in it and in each file reached."""
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            for module in _parsed(current).modules:
                if counts(module):
                    whole = module.startswith(_WHOLE)
                    waiting += _WHOLE_ROOM.rglob("*.py") if whole else _source(current, module)
    return frozenset(found)


def _source(importing: Path, module: str) -> list[Path]:
    """The file of a module of ours, or of the folder or package that the importing file is in."""
    top = module.split(".")[0]
    if top in _OURS:
        roots = [_ROOT]
    else:
        roots = [_import_root(importing), Path.cwd()]
        if str(roots[0]) in (*site.getsitepackages(), site.getusersitepackages()):
            roots = [roots[0]] if top == importing.relative_to(roots[0]).parts[0] else []
    paths = [root.joinpath(*module.split(".")) for root in roots]
    candidates = [
        file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py")
    ]
    return [file.resolve() for file in candidates if file.is_file()][:1]


def _import_root(file: Path) -> Path:
    """The folder that imports of the file's package start from."""
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


# -- definitions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _ParsedFile:
    modules: frozenset[str]  # imported anywhere in it, or named as a worker's target
    imports: frozenset[str]  # of the standard library and of packages, as statements
    definitions: tuple[tuple[str, str], ...]  # name and hash


def _parsed(file: Path) -> _ParsedFile:
    return _parse(file, file.stat().st_mtime_ns)


@functools.cache
def _parse(file: Path, changed: int) -> _ParsedFile:
    """`changed` keys the cache."""
    tree = parse_python(file.read_bytes())
    normal = _Normalizer(file, tree)
    normal.visit(tree)
    return _ParsedFile(
        modules=frozenset(normal.modules),
        imports=frozenset(
            ast.unparse(type(node)(**{**vars(node), "names": [alias]}))
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ),
        definitions=tuple(
            (_name(node), _hash(ast.unparse(node)))
            for node in tree.body
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)
        ),
    )


_BLOCK = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.For, ast.While, ast.With),
    *(ast.AsyncWith, ast.AsyncFor, ast.Try, ast.ExceptHandler),
)


class _Normalizer(ast.NodeTransformer):
    """Takes out what does not count: docstrings, descriptions, and where other code is."""

    def __init__(self, file: Path, tree: ast.Module) -> None:
        self._file = file
        self.modules: set[str] = set()  # every module that the file names
        self._bound: dict[str, str] = {}  # local name -> name where it is defined; "" for a module
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self.modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                self._note(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                target = _TARGET.fullmatch(node.value)
                self.modules |= {target[1]} if target else set()

    def _note(self, node: ast.ImportFrom) -> None:
        origin = self._origin(node)
        self.modules |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)} - {""}
        if self._is_from_here(node):
            for alias in node.names:
                is_module = bool(_source(self._file, f"{origin}.{alias.name}"))
                self._bound[alias.asname or alias.name] = "" if is_module else alias.name

    def _origin(self, node: ast.ImportFrom) -> str:
        """The absolute name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        folder = self._file.parents[node.level - 1]
        root = _import_root(self._file)
        parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
        return ".".join((*parts, *((node.module,) if node.module else ())))

    def _is_local(self, module: str) -> bool:
        return module.split(".")[0] in _OURS or bool(_source(self._file, module))

    def _is_from_here(self, node: ast.ImportFrom) -> bool:
        origin = self._origin(node)
        return any(self._is_local(m) for m in (origin, f"{origin}.{node.names[0].name}"))

    def visit(self, node: ast.AST) -> ast.AST | None:
        """As the base class; a body that lost its last statement gets a `pass`."""
        _drop_docstring(node)
        changed: ast.AST | None = super().visit(node)
        if isinstance(changed, _BLOCK) and not changed.body:
            changed.body = [ast.Pass()]
        return changed

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if not self._is_local(alias.name)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if self._is_from_here(node) else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if _name(node) == "__all__":
            return None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._bound.get(node.id) or node.id, node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`compare.equal`, of a module of ours, as `equal`."""
        if isinstance(node.value, ast.Name) and self._bound.get(node.value.id) == "":
            return ast.Name(node.attr, node.ctx)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A worker's target without the module that it is in."""
        target = _TARGET.fullmatch(node.value) if isinstance(node.value, str) else None
        return ast.Constant(target[2] or "") if target else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) == "Field":
            node.keywords = [k for k in node.keywords if k.arg != "description"]
        return self.generic_visit(node)


def _drop_docstring(node: ast.AST) -> None:
    match node:
        case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]


def _name(node: ast.stmt) -> str:
    """What a definition is called: its name, its targets, or the beginning of the statement."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign():
            return ", ".join(ast.unparse(target) for target in node.targets)
        case ast.AnnAssign() | ast.AugAssign():
            return ast.unparse(node.target)
        case _:
            return ast.unparse(node).split("\n")[0][:60]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]
