"""Strict YAML, as values that remember where they were written, and how two of them merge.

Numbers are what JSON and Python call numbers (`3e-4` is one, `010` is not), only `true` and
`false` are booleans, keys are words given once, and there are no anchors and no tags.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from recipes.errors import RecipeError
from recipes.slots.spec import JSON

Kind = Literal["default", "fragment", "recipe", "command line"]

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

    value: Any
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

    Two slot entries merge when they name the same function; a bare word is an entry that has
    nothing but a name. An entry that names another function replaces the one below whole, because
    the options below belong to the other function.
    """
    if below is None or (isinstance(above.value, str) and not _is_named(below, above.value)):
        return above
    old, new = as_entry(below).value, as_entry(above).value
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return above
    if "name" in old and "name" in new and old["name"].value != new["name"].value:
        return above
    merged = {key: merge(old.get(key), child) for key, child in new.items()}
    # A setting from the command line, or one more option, does not move the entry itself.
    stays = "name" not in new and ("name" in old or above.source.kind == "command line")
    return YamlNode({**old, **merged}, below.source if stays else above.source)


def _is_named(located: YamlNode, name: str) -> bool:
    entry = located.value
    return isinstance(entry, dict) and "name" in entry and entry["name"].value == name


def as_entry(located: YamlNode) -> YamlNode:
    """A bare word as the entry it stands for, `{name: word}`; anything else as it is."""
    if isinstance(located.value, str):
        return YamlNode({"name": located}, located.source)
    return located


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes whose scalars are resolved by our rules; refuses anchors and tags."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise yaml.composer.ComposerError(None, None, "anchors are not part of recipes", mark)
        if event.tag is not None:
            raise yaml.composer.ComposerError(None, None, "tags are not part of recipes", mark)
        return super().compose_node(parent, index)


class _StrictDumper(yaml.SafeDumper):
    """Quotes every text that either YAML or our rules would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_StrictLoader.yaml_implicit_resolvers = {}  # none of YAML 1.1's readings
for _tag, (_pattern, _first) in _SCALARS.items():
    for _class in (_StrictLoader, _StrictDumper):
        _class.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), _first)


def parse(text: str, where: str, kind: Kind) -> YamlNode:
    """The YAML in `text`; `where` is the file's name in errors, or the whole override.

    Raises RecipeError with file and line.
    """
    try:
        node = _StrictLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        what = f"not strict YAML: {error.problem}"
        raise RecipeError.of(what, where=_place(where, line, kind), fix=_remedy(what)) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        what = f"not text: character U+{error.character:04X} cannot stand in a recipe"
        raise RecipeError.of(what, where=_place(where, line, kind), fix="remove it") from None
    if node is None:
        return YamlNode(None, Source(_place(where, 0, kind), 0, kind))
    return _located(node, None, where, kind)


def dump(tree: JSON) -> str:
    """YAML that `parse` reads back as exactly `tree`, in the tree's own order."""
    dumped: str = yaml.dump(
        tree, Dumper=_StrictDumper, sort_keys=False, allow_unicode=True, width=100
    )
    return dumped


def _place(where: str, line: int, kind: Kind) -> str:
    return f"{where}:{line}" if line and kind != "command line" else where


_REMEDIES = {
    "anchors": "write the value out, or put it into a fragment and name that under extends",
    "tags": "write the value without `!`, or quote it when it is text",
    r"'\t'": "indent with spaces",
    "mapping values": "quote text that holds `: `",
    "stream": "close the bracket or the quote",
    "another document": "one recipe a file: take out the `---` line",
}


def _remedy(what: str) -> str:
    found = [remedy for sign, remedy in _REMEDIES.items() if sign in what]
    return found[0] if found else "check the indentation and the brackets"


def _located(node: yaml.Node, key_line: int | None, where: str, kind: Kind) -> YamlNode:
    line = node.start_mark.line + 1 if key_line is None else key_line
    inside = 0 if kind == "command line" else line
    source = Source(_place(where, line, kind), inside, kind)
    if isinstance(node, yaml.MappingNode):
        return YamlNode(_mapping(node, where, kind), source)
    if isinstance(node, yaml.SequenceNode):
        return YamlNode([_located(item, None, where, kind) for item in node.value], source)
    return YamlNode(_scalar(node.tag.rpartition(":")[2], node.value), source)


def _mapping(node: yaml.MappingNode, where: str, kind: Kind) -> dict[str, YamlNode]:
    found: dict[str, YamlNode] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        place = _place(where, line, kind)
        word = key.value
        if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith(":str"):
            shown = f"the key '{word}'" if isinstance(word, str) else "this key"
            raise RecipeError.of(
                f"{shown} is not a word",
                where=place,
                fix="quote it, or write `key: value`",
            )
        if not word or "." in word:
            raise RecipeError.of(
                f"the key '{word}' {'holds a dot' if word else 'is empty'}",
                where=place,
                fix="nest the settings in the file; dots belong to --set",
            )
        if word in found:
            raise RecipeError.of(
                f"'{word}' is given twice, first on line {lines[word]}",
                where=place,
                fix="keep one of them",
            )
        lines[word] = line
        found[word] = _located(value, line, where, kind)
    return found


def _scalar(tag: str, text: str) -> str | int | float | bool | None:
    match tag:
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int":
            return int(text)
        case "float":
            return float(text.replace(".inf", "inf"))
        case _:
            return text
