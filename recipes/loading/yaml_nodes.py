"""Strict YAML, as values that remember where they were written, and how two of them merge.

Numbers are what JSON and Python call numbers (`3e-4` is one, `010` is not), only `true` and
`false` are booleans, keys are words given once, and there are no anchors and no tags.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import yaml

from recipes.errors import RecipeError
from recipes.slots.spec import JSON

Kind = Literal["default", "fragment", "recipe", "command line"]

MAX_DEPTH = 40  # levels of nesting; the deepest shipped recipe has 5
MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 40  # with `_` between them; int() refuses thousands

_DIGITS = r"[0-9](?:_?[0-9])*"
_SCALARS = {
    "tag:yaml.org,2002:null": (r"~|null|", ["~", "n", ""]),
    "tag:yaml.org,2002:bool": (r"true|false", ["t", "f"]),
    "tag:yaml.org,2002:int": (r"[-+]?(?:0|[1-9](?:_?[0-9])*)", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        rf"[-+]?(?:(?:{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?{_DIGITS})?"
        rf"|{_DIGITS}[eE][-+]?{_DIGITS}|\.inf)",
        list("-+.0123456789"),
    ),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Who set a value.

    where: `recipes/math/grpo.yaml:7`, `--set optimizer.lr=1e-5`, or "default"
    line:  of the key, or of the list item; 0 when no file is to blame
    """

    where: str
    line: int
    kind: Kind


DEFAULT = Source("default", 0, "default")


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A YAML value made of YamlNodes: a scalar, `list[YamlNode]` or `dict[str, YamlNode]`.

    Example: `lr: 1e-5` on line 3 is YamlNode({"lr": YamlNode(1e-5, line 3)}, line 3).
    """

    value: JSON  # of YamlNodes
    source: Source

    def plain(self) -> JSON:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def walk(self, path: str = "") -> Iterator[tuple[str, Source]]:
        """Every dotted path with its place."""
        yield path, self.source
        children: dict[str, YamlNode] = {}
        if isinstance(self.value, dict):
            children = self.value
        elif isinstance(self.value, list):
            children = {str(index): child for index, child in enumerate(self.value)}
        for key, child in children.items():
            yield from child.walk(f"{path}.{key}" if path else key)


def merge(below: YamlNode | None, above: YamlNode) -> YamlNode:
    """`above` laid over `below`: mappings merge, everything else is replaced.

    A slot entry with a `name`, or the bare word that stands for one, replaces an entry below whole;
    one without adds options to it. A setting that is null above is as if it had not been written
    below: its default holds.
    """
    if below is None:
        return above
    old, new = as_entry(below).value, above.value
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return above
    if "name" in old and "name" in new:
        return above
    # A setting from the command line, or one more option, does not move the entry itself.
    stays = "name" not in new and ("name" in old or above.source.kind == "command line")
    return YamlNode(_merge_settings(old, new), below.source if stays else above.source)


def merge_files(below: YamlNode, above: YamlNode) -> YamlNode:
    """`merge` for two whole files: a file is not a slot entry, so a `name` in it is a setting."""
    stays = above.source.kind == "command line"
    merged = _merge_settings(below.value, above.value)
    return YamlNode(merged, below.source if stays else above.source)


def _merge_settings(old: dict[str, YamlNode], new: dict[str, YamlNode]) -> dict[str, YamlNode]:
    cleared = {key for key, child in new.items() if child.value is None and key in old}
    kept = {key: child for key, child in old.items() if key not in cleared}
    added = {key: merge(old.get(key), child) for key, child in new.items() if key not in cleared}
    return {**kept, **added}


def as_entry(located: YamlNode) -> YamlNode:
    """A bare word as the entry it stands for, `{name: word}`; anything else as it is."""
    if isinstance(located.value, str):
        return YamlNode({"name": located}, located.source)
    return located


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes whose scalars are resolved by our rules; refuses anchors, tags and depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise yaml.composer.ComposerError(None, None, "anchors are not part of recipes", mark)
        if event.tag is not None:
            raise yaml.composer.ComposerError(None, None, "tags are not part of recipes", mark)
        if self.depth == MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels", mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _StrictDumper(yaml.SafeDumper):
    """Quotes every text that either YAML or our rules would read as something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_StrictLoader.yaml_implicit_resolvers = {}  # none of YAML 1.1's readings
for _tag, (_pattern, _first) in _SCALARS.items():
    for _class in (_StrictLoader, _StrictDumper):
        _class.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), _first)


_REMEDIES = {
    "anchors": "write the value out, or put it into a fragment and name that under extends",
    "tags": "write the value without `!`, or quote it when it is text",
    r"'\t'": "indent with spaces",
    "mapping values": "quote text that holds `: `",
    "stream": "close the bracket or the quote",
    "escape": "write the character itself, or double the backslash",
    "levels": "settings need a few levels: write the value out flat",
    "another document": "one recipe a file: take out the `---` line",
}


def parse(text: str, where: str, kind: Kind) -> YamlNode:
    """The YAML in `text`; `where` is the file's name in errors, or the whole override.

    Raises RecipeError with file and line.
    """
    origin = _Origin(where, kind)
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
        except ValueError:  # `"\U00110000"`, beyond the last character
            what = "an escape that names no character"
            raise yaml.scanner.ScannerError(None, None, what, loader.get_mark()) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not strict YAML: {error.problem}"
        fixes = [remedy for sign, remedy in _REMEDIES.items() if sign in what]
        fix = fixes[0] if fixes else "check the indentation and the brackets"
        raise origin.error(mark.line + 1 if mark else 0, what, fix) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        what = f"not text: character U+{error.character:04X} is not allowed in a recipe"
        raise origin.error(line, what, "remove it") from None
    if node is None:
        return YamlNode(None, origin.source(0))
    return _located(node, None, origin)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The text that is read: a file by its name, or a whole override."""

    where: str
    kind: Kind

    def source(self, line: int) -> Source:
        inside = 0 if self.kind == "command line" else line
        return Source(f"{self.where}:{inside}" if inside else self.where, inside, self.kind)

    def error(self, line: int, what: str, fix: str) -> RecipeError:
        return RecipeError.of(what, where=self.source(line).where, fix=fix)


def dump(tree: JSON) -> str:
    """YAML that `parse` reads back as exactly `tree`, in the tree's own order."""
    dumped: str = yaml.dump(
        tree, Dumper=_StrictDumper, sort_keys=False, allow_unicode=True, width=100
    )
    return dumped


def dump_inline(value: JSON) -> str:
    """The value on one line, as a recipe would have it: `{path: data.jsonl, subset: null}`."""
    dumped: str = yaml.dump(
        [value], Dumper=_StrictDumper, sort_keys=False, allow_unicode=True, width=10**6,
        default_flow_style=True,
    )  # fmt: skip
    return dumped.strip()[1:-1]


def _located(node: yaml.Node, key_line: int | None, origin: _Origin) -> YamlNode:
    line = node.start_mark.line + 1 if key_line is None else key_line
    source = origin.source(line)
    if isinstance(node, yaml.MappingNode):
        return YamlNode(_mapping(node, origin), source)
    if isinstance(node, yaml.SequenceNode):
        return YamlNode([_located(item, None, origin) for item in node.value], source)
    text: str = node.value
    value: str | int | float | bool | None = text
    match node.tag.rpartition(":")[2]:
        case "null":
            value = None
        case "bool":
            value = text == "true"
        case "int" if len(text) > _MAX_DIGITS or abs(int(text)) > MAX_INTEGER:
            what = f"a number of {len(text)} digits" if len(text) > 30 else f"the number {text}"
            raise origin.error(line, f"{what} does not fit in 64 bits", "write a smaller one")
        case "int":
            value = int(text)
        case "float":
            value = float(text.replace(".inf", "inf"))
            if not math.isfinite(value):
                raise origin.error(line, "an infinite number", "write the number that is meant")
        case _:
            _refuse_half_characters(text, line, origin)
    return YamlNode(value, source)


def _mapping(node: yaml.MappingNode, origin: _Origin) -> dict[str, YamlNode]:
    found: dict[str, YamlNode] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        word = key.value
        if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith(":str"):
            shown = f"the key '{word}'" if isinstance(word, str) else "this key"
            raise origin.error(line, f"{shown} is not a word", "quote it, or write `key: value`")
        _refuse_half_characters(word, line, origin)
        if not word or "." in word:
            what = f"the key '{word}' {'holds a dot' if word else 'is empty'}"
            fix = "nest the settings in the file; dots belong to --set"
            raise origin.error(line, what, fix)
        if word in found:
            what = f"'{word}' is given twice, first on line {lines[word]}"
            raise origin.error(line, what, "keep one of them")
        lines[word] = line
        found[word] = _located(value, line, origin)
    return found


def _refuse_half_characters(text: str, line: int, origin: _Origin) -> None:
    """A surrogate is half of a character: no file and no terminal takes it."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        what = "not text: an escape names half of a character, \\ud800 to \\udfff"
        raise origin.error(line, what, "write the character itself")
