"""Which code and options gave a verdict: a hash that changes when they do, and what has changed.

The code of a verifier is its own file and everything of `rewards` that it imports, or names as the
target of a worker; of a plug-in, its file and the files beside it that it imports. Comments,
formatting and docstrings do not count; nor do the modules that only carry a question to a verifier
and the answer back. Other packages count by their version, the model of a judge by its name, a
model in this process by its files. Options that cannot change a verdict, such as deadlines and
limits, do not count.
"""

import ast
import functools
import hashlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recipes.errors import relative
from recipes.slots.registry import SlotEntry, entries_of, to_plain
from recipes.slots.spec import HashFiles, NotHashed
from rewards.audit.file_hashes import hashes_of
from rewards.plugins.functions import inspect_plugin
from rewards.types import JSON
from rewards.verifiers.plugin import specs_of

_ROOT = Path(__file__).resolve().parents[2]
_LETTERS = 12  # of a hash that people compare
_MACHINERY = frozenset(
    f"rewards.{name}"
    for name in (
        *("types", "verifiers", "calling", "audit.provenance", "audit.preflight"),
        *("workers.worker", "workers.process", "workers.pool"),
        *("http", "http.usage", "http.credentials"),
        *("plugins.functions", "plugins.signatures", "plugins.worker"),
    )
)
_WHOLE = "rewards.sandbox"  # its programs are started by their path, not imported
_TARGET = re.compile(r"rewards(\.\w+)+(:\w+)?")  # of a call to a worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a verdict rests on."""

    options: JSON  # those that can change a verdict, nested entries included
    code: Mapping[str, str]  # file -> hash
    packages: Mapping[str, str]  # name -> version
    files: Mapping[str, str]  # that options name, such as weights -> hash

    @property
    def digest(self) -> str:
        """One hash of all of it."""
        return _hash(json.dumps(self.plain(), sort_keys=True))

    def plain(self) -> dict[str, JSON]:
        """As JSON, for a checkpoint."""
        return {
            "options": self.options,
            "code": dict(self.code),
            "packages": dict(self.packages),
            "files": dict(self.files),
        }


def provenance_of(bound: SlotEntry) -> Provenance:
    """Of a verifier and of those inside it."""
    files: set[Path] = set()
    for inner in entries_of(bound):
        files |= _closure(Path(inner.entry.file))
        if inner.name == "plugin":
            for spec in specs_of(inner.options):
                found = inspect_plugin(spec, inner.options["environment"])
                files |= _neighbours(Path(found.file)) if found.file else set()
    packages = {name for file in files for name in _packages(file)}
    versions = {name: _version(name) for name in sorted(packages)}
    return Provenance(
        options=_deciding(bound),
        code={relative(str(file)): _code_hash(file) for file in sorted(files)},
        packages={name: version for name, version in versions.items() if version},
        files={file: digest for path in _named(bound) for file, digest in hashes_of(path).items()},
    )


def _fields(value: SlotEntry | BaseModel) -> Iterator[tuple[str, JSON, FieldInfo]]:
    """Name, value and declaration of every option of an entry, or of every field of a section."""
    schema = value.entry.schema if isinstance(value, SlotEntry) else type(value)
    given = value.options if isinstance(value, SlotEntry) else dict(value)
    for name, inner in given.items():
        yield name, inner, schema.model_fields[name]


def _deciding(value: JSON) -> JSON:
    """As `to_plain`, without what cannot change a verdict."""
    match value:
        case SlotEntry() | BaseModel():
            known = {"name": value.name} if isinstance(value, SlotEntry) else {}
            return known | {
                name: _deciding(inner)
                for name, inner, field in _fields(value)
                if not _is_marked(field, NotHashed)
            }
        case Mapping():
            return {key: _deciding(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_deciding(inner) for inner in value]
        case _:
            return to_plain(value)


def _named(value: JSON) -> Iterator[str]:
    """Every path whose contents count."""
    match value:
        case SlotEntry() | BaseModel():
            for _, inner, field in _fields(value):
                if _is_marked(field, HashFiles):
                    yield inner
                else:
                    yield from _named(inner)
        case Mapping():
            for inner in value.values():
                yield from _named(inner)
        case list() | tuple():
            for inner in value:
                yield from _named(inner)


def _is_marked(field: FieldInfo, mark: type) -> bool:
    return any(isinstance(found, mark) for found in field.metadata)


def changes(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> list[str]:
    """What differs between two `plain` records, in words; empty when nothing does."""
    found = [] if old["options"] == new["options"] else [_options_differ(old, new)]
    for kind, noun in (("code", ""), ("packages", "package "), ("files", "")):
        before, after = old[kind], new[kind]
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                was, now = before.get(name, "not used"), after.get(name, "not used")
                found.append(f"{noun}{name} ({was} before, {now} now)")
    return found


def _options_differ(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> str:
    before, after = dict(_flat(old["options"])), dict(_flat(new["options"]))
    named = [
        f"{path or 'verifier'}: {before.get(path, 'not set')!r} before, "
        f"{after.get(path, 'not set')!r} now"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
    return "options (" + "; ".join(named) + ")"


def _flat(value: JSON, path: str = "") -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


# -- files ---------------------------------------------------------------------------------------


def _closure(file: Path) -> frozenset[Path]:
    """The file and what it imports of `rewards`, directly or not."""

    def ours(importing: Path) -> Iterator[Path]:
        for module in _imports(importing):
            if module.split(".")[0] == "rewards" and module not in _MACHINERY:
                yield from _files_of(module)

    return _reached(file, ours)


def _neighbours(file: Path) -> frozenset[Path]:
    """A plug-in's file, and the files beside it that it imports, directly or not."""

    def beside(importing: Path) -> Iterator[Path]:
        for module in _imports(importing):
            path = importing.parent / f"{module.split('.')[0]}.py"
            if path.is_file():
                yield path

    return _reached(file, beside)


def _reached(file: Path, next_to: Callable[[Path], Iterator[Path]]) -> frozenset[Path]:
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += next_to(current)
    return frozenset(found)


def _files_of(module: str) -> list[Path]:
    """The file of a module; none for `package.name` where name is no module."""
    if module.startswith(_WHOLE):
        return sorted(_ROOT.joinpath(*_WHOLE.split(".")).rglob("*.py"))
    path = _ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return [candidate]
    return []


def _packages(file: Path) -> set[str]:
    roots = {module.split(".")[0] for module in _imports(file)}
    carriers = {"recipes", "rewards", "rollout", "eval", "trainer", "pydantic"}
    return roots - carriers - sys.stdlib_module_names


def _version(module: str) -> str:
    """Of the distribution with the module's name; empty where there is none."""
    try:
        return importlib.metadata.version(module.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return ""


def _imports(file: Path) -> frozenset[str]:
    return _imports_at(file, file.stat().st_mtime_ns)


def _code_hash(file: Path) -> str:
    return _code_hash_at(file, file.stat().st_mtime_ns)


@functools.cache
def _imports_at(file: Path, changed: int) -> frozenset[str]:
    """Modules that the file imports anywhere in it; `changed` keys the cache."""
    found: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _TARGET.fullmatch(node.value)
        ):
            found.add(node.value.partition(":")[0])
    return frozenset(found)


@functools.cache
def _code_hash_at(file: Path, changed: int) -> str:
    """Of what the file does: no comments, no formatting, no docstrings."""
    tree = _tree(file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return _hash(ast.unparse(tree))


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]
