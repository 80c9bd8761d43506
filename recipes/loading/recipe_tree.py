"""From a recipe file to one tree: `extends`, then the file, then `--set a.b=c`; who set what.

loaded = load("math/grpo.yaml", ["optimizer.lr=1e-5"])
loaded.tree["advantage"]                  # {"name": "grpo", "std_normalize": False}
str(loaded.source("advantage.name"))      # recipes/algorithms/grpo.yaml:4

Later layers win: the fragments in the order they are named, each over those it extends itself, the
recipe over its fragments, the command line over all. How two layers meet is `yaml_nodes.merge`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes.errors import Fault, RecipeError, relative, shortened, shown, without_secrets
from recipes.loading.yaml_nodes import (
    DEFAULT,
    MAX_DEPTH,
    Kind,
    Source,
    YamlNode,
    as_entry,
    merge,
    merge_files,
    parse,
)
from recipes.slots.spec import JSON

PACKAGE = Path(__file__).resolve().parents[1]
MAX_CHAIN = 20  # files that extend each other in a row
_NUMBER = re.compile(r"[0-9]{1,6}")
_LONGEST_NAME = 200  # of a file to extend; a file system takes 255 bytes for each part
ABOUT = ("extends", "paper", "description")  # keys of a file that are not settings


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A recipe as plain values, with the place of each."""

    tree: dict[str, JSON]
    root: Path  # the recipe file itself
    files: tuple[Path, ...]  # every file that was read, the recipe last
    papers: tuple[str, ...]  # links of the recipe and of its fragments
    description: str  # of the recipe itself; empty when it has none
    sources: Mapping[str, Source] = field(repr=False)  # by dotted path, `terms.0.coef`

    def source(self, path: str) -> Source:
        """Who set the value at a dotted path; a path that nobody set is a default."""
        return self.sources.get(path, DEFAULT)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read a recipe with everything it extends; raises RecipeError with file and line."""
    reading = _Reading()
    root = find(path)
    merged = reading.layers(root, "recipe", ())
    for override in overrides:
        keys, value = _read_override(override)
        merged = _assign(merged, keys, value)
    tree: dict[str, JSON] = merged.plain()
    return Loaded(
        tree=tree,
        root=root,
        files=tuple(reading.files),
        papers=tuple(dict.fromkeys(reading.papers)),
        description=reading.description,
        sources=dict(merged.walk()),
    )


def parse_overrides(overrides: Sequence[str]) -> dict[str, JSON]:
    """`["sampling.temperature=0"]` as a tree of its own, `{"sampling": {"temperature": 0}}`."""
    merged = YamlNode({}, DEFAULT)
    for override in overrides:
        keys, value = _read_override(override)
        merged = _assign(merged, keys, value)
    return dict(merged.plain())


def add_locations(error: RecipeError, loaded: Loaded, prefix: str = "") -> RecipeError:
    """The same faults, each with the file and line of its path or of the nearest part above it."""
    return RecipeError([_placed(fault, loaded, prefix) for fault in error.faults])


@contextmanager
def with_source_location(loaded: Loaded, prefix: str = "") -> Iterator[None]:
    """Within it a RecipeError about the section at `prefix` gets its file and line.

    A fault that names no setting, such as one more example, stays as it is.
    """
    try:
        yield
    except RecipeError as error:
        raise RecipeError(
            [_placed(fault, loaded, prefix) if fault.path else fault for fault in error.faults]
        ) from error


def _placed(fault: Fault, loaded: Loaded, prefix: str) -> Fault:
    if fault.where:
        return fault
    path = ".".join(part for part in (prefix, fault.path) if part)
    above = path
    while above and above not in loaded.sources:
        above = above.rpartition(".")[0]
    return replace(fault, path=path, where=loaded.sources[above].where)


# -- files ---------------------------------------------------------------------------------------


def find(name: str | Path) -> Path:
    """The file of a recipe: `math/grpo.yaml`, `quickstart` or a path; here first, then shipped."""
    return _find(str(name), (Path.cwd(), PACKAGE, PACKAGE.parent), where="")


def _find(name: str, folders: Sequence[Path], *, where: str) -> Path:
    file = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise RecipeError.of(
            f"no recipe file {shown(name)}", where=where, fix="name a file by its path"
        )
    for folder in folders:
        if (folder / file).is_file():
            return (folder / file).resolve()
    # Names that look like `file`, by whole name or by last part.
    known = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.yaml")}
    for folder in folders:
        beside = (folder / file).parent.glob("*.y*ml")
        known |= {
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
            for path in beside
        }
    words: dict[str, list[str]] = {}
    for title in sorted(known):
        for word in {title, Path(title).stem}:
            words.setdefault(word, []).append(title)
    close: list[str] = []
    for word in (file.removeprefix("recipes/"), Path(file).stem):
        for hit in difflib.get_close_matches(word, list(words), n=3, cutoff=0.75):
            close += words[hit]
    near = [f"'{title}'" for title in dict.fromkeys(close)][:3]
    raise RecipeError.of(
        f"no recipe file '{name}'",
        where=where,
        fix=f"did you mean {' or '.join(near)}?" if near else "the shipped ones are in recipes/",
    )


class _Reading:
    """What one `load` collects while it walks down `extends`; each file is read once."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.papers: list[str] = []
        self.description = ""
        self._merged: dict[Path, YamlNode] = {}

    def layers(self, file: Path, kind: Kind, chain: tuple[Path, ...]) -> YamlNode:
        """The file over everything that it extends; `chain` leads from the recipe to it."""
        if file in self._merged:
            return self._merged[file]
        where = relative(str(file))
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError.of(
                f"cannot be read: {error}", where=where, fix="it must be a readable UTF-8 file"
            ) from None
        layer = parse(text, where, kind)
        if layer.value is None:
            layer = YamlNode({}, layer.source)
        if not isinstance(layer.value, dict):
            raise RecipeError.of(
                f"a recipe is `key: value` lines, this is {shown(layer.plain())}",
                where=layer.source.where,
                fix="start with `extends:` or a setting",
            )
        about = {key: layer.value.pop(key) for key in ABOUT if key in layer.value}
        merged = YamlNode({}, layer.source)
        for name in _texts(about, "extends"):
            fragment = self._fragment(name, (*chain, file))
            merged = merge_files(merged, self.layers(fragment, "fragment", (*chain, file)))
        self.files.append(file)
        self.papers += [link.value for link in _texts(about, "paper")]
        self.description = " ".join(part.value for part in _texts(about, "description"))
        self._merged[file] = merge_files(merged, layer)
        return self._merged[file]

    def _fragment(self, name: YamlNode, chain: tuple[Path, ...]) -> Path:
        """The file that is meant, unless it would never end."""
        fragment = _find(name.value, (PACKAGE, chain[-1].parent), where=name.source.where)
        if fragment in chain:
            circle = [relative(str(path)) for path in (*chain, fragment)]
            raise RecipeError.of(
                f"extends itself: {' -> '.join(circle)}",
                where=name.source.where,
                fix="take one of these out",
            )
        if len(chain) == MAX_CHAIN:
            raise RecipeError.of(
                f"{MAX_CHAIN} files extend each other in a row, and this is one more",
                where=name.source.where,
                fix="name the files that are needed under the recipe's own extends",
            )
        return fragment


def _texts(about: Mapping[str, YamlNode], key: str) -> Iterator[YamlNode]:
    """One text or a list of them."""
    if key not in about:
        return
    listed = about[key].value if isinstance(about[key].value, list) else [about[key]]
    for item in listed:
        if not isinstance(item.value, str):
            raise RecipeError.of(
                f"expected text or a list of texts, got {item.plain()!r}",
                where=item.source.where,
                path=key,
                fix=f"write `{key}: ...` in quotes",
            )
        yield item


# -- the command line ----------------------------------------------------------------------------


def _read_override(override: str) -> tuple[list[str], YamlNode]:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    where = shortened(f"--set {without_secrets(override)}")
    if not equals or not all(keys):
        raise RecipeError.of(
            f"{override!r} is not `path=value`", where="--set", fix="write --set optimizer.lr=1e-5"
        )
    if len(keys) > MAX_DEPTH:
        raise RecipeError.of(
            f"a path of {len(keys)} keys", where=where, fix=f"write at most {MAX_DEPTH}"
        )
    if keys[0] in ABOUT:
        raise RecipeError.of(
            f"'{keys[0]}' is not a setting", where=where, fix="write it into a recipe file"
        )
    return keys, parse(text, where, "command line")


def _assign(
    below: YamlNode | None, keys: Sequence[str], value: YamlNode, done: tuple[str, ...] = ()
) -> YamlNode:
    """`value` laid over what lies at `keys` below; `done` are the keys walked so far."""
    key, rest = keys[0], keys[1:]
    if below is not None and isinstance(below.value, list):
        if not _NUMBER.fullmatch(key) or int(key) >= len(below.value):
            last = len(below.value) - 1
            known = f"its items are 0 to {last}" if below.value else "it is empty"
            raise RecipeError.of(
                f"{'.'.join(done)} is a list without an item '{shortened(key)}'",
                where=value.source.where,
                fix=f"{known}; set the whole list to make it longer",
            )
        index = int(key)
        items = list(below.value)
        items[index] = (
            _assign(items[index], rest, value, (*done, key)) if rest else merge(items[index], value)
        )
        return YamlNode(items, below.source)
    inner = as_entry(below).value if below is not None else None
    if isinstance(inner, bool | int | float) and key != "name":
        raise RecipeError.of(
            f"{'.'.join(done)} is {inner!r}, which has no options",
            where=value.source.where,
            fix=f"first set {'.'.join(done)}.name, or set the whole entry",
        )
    if _NUMBER.fullmatch(key):
        raise RecipeError.of(
            f"{'.'.join(done) or 'a recipe'} is not a list",
            where=value.source.where,
            fix="leave the number out",
        )
    if not rest:
        layer = YamlNode({key: value}, value.source)
        if below is None:
            return layer
        return merge(below, layer) if done else merge_files(below, layer)
    children = inner if isinstance(inner, dict) else {}
    assigned = _assign(children.get(key), rest, value, (*done, key))
    source = value.source if below is None else below.source
    return YamlNode({**children, key: assigned}, source)
