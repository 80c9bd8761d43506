r"""Tokens with `=`, `<`, `\in` at the top -> a name with its value, an equation, a region."""

import re
from collections.abc import Callable
from typing import TypeAlias

from rewards.answers.wording.roles import Unread
from rewards.math.parse import items, scalar
from rewards.math.parse.slicing import at_top, split
from rewards.math.parse.tokens import MathToken, spelling
from rewards.math.values import regions
from rewards.math.values.forms import Chain, Form, MathGroup, Named, Relation

_DERIVATIVE = re.compile(r"frac \{ d \w+ \{ \{ d \w+ \{|d \w+ / d \w+")
Reader: TypeAlias = Callable[[list[MathToken]], Form]


def related(tokens: list[MathToken], read: Reader) -> Form:
    """Names with values, equations, inequalities and chains of them; sides are read by `read`."""
    parts = split(tokens, lambda t: t.kind in ("rel", "in"))
    signs = [t.text for t in at_top(tokens) if t.kind in ("rel", "in")]
    if not parts[0] and signs[0] in ("=", "~"):
        parts, signs = parts[1:], signs[1:]
        if not signs:
            return read(parts[0])
    if not all(parts):
        raise Unread("a relation with one side")
    if signs[0] in ("in", "notin"):
        if len(parts) != 2:
            raise Unread("several memberships")
        value = read(parts[1])
        if signs[0] == "notin":
            outside = regions.complement(regions.of(value))
            if outside is None:
                raise Unread("not in what")
            value = outside
        return Named(spelling(parts[0]), value)
    if set(signs) <= {"=", "~"}:
        return _equated(parts, signs, read)
    if "~" in signs or "in" in signs or "notin" in signs:
        raise Unread("mixed relations")
    if signs.count("=") == 1 and len(signs) == 2 and "=" in signs:
        raise Unread("mixed relations")
    sides = [scalar.parse(part).value for part in parts[:-1]]
    sides.append(items.quantity(parts[-1]).value)
    if not any(side.free_symbols for side in sides):
        raise Unread("a statement without a variable")
    if len(sides) == 2:
        relation = Relation(sides[0], signs[0], sides[1])
        return regions.simple(relation) or relation
    relations = [Relation(sides[k], signs[k], sides[k + 1]) for k in range(len(signs))]
    region = regions.joined([regions.simple(r) or r for r in relations], "and")
    return region or MathGroup("list", tuple(relations), joined="and")


def _equated(parts: list[list[MathToken]], signs: list[str], read: Reader) -> Form:
    variable = any(t.kind == "sym" and t.text not in ("pi", "e", "i") for t in parts[0])
    turned = signs == ["="] and _is_name(parts[1]) and not variable
    parts = [parts[1], parts[0]] if turned else parts
    if _is_name(parts[0]):
        rest = parts[1:]
        value = read(rest[0]) if len(rest) == 1 else _chain(rest, signs[1:], read)
        return Named(spelling([t for t in parts[0] if t.kind != "open" or t.text != "{"]), value)
    if len(parts) == 2 and signs == ["="]:
        try:
            left, right = (scalar.parse(part).value for part in parts)
        except Unread:
            if any(t.kind == "word" for t in parts[0]):
                raise
            return Named("", read(parts[1]))
        if left.free_symbols or right.free_symbols:
            return Relation(left, "=", right)
    return _chain(parts, signs, read)


def _chain(parts: list[list[MathToken]], signs: list[str], read: Reader) -> Form:
    return Chain(tuple(read(part) for part in parts), tuple(sign == "~" for sign in signs))


def _is_name(tokens: list[MathToken]) -> bool:
    """A letter, `f(x)`, `(x, y)`, `AB`: something that is called, not computed."""
    kinds = [t.kind for t in tokens]
    if _DERIVATIVE.fullmatch(spelling(tokens)):
        return True
    if kinds == ["sym"]:
        return tokens[0].text != "pi"
    if "num" in kinds:
        return bool(re.fullmatch(r"[A-Za-z](?:_\w+)?'* \( [\d., ]+ \(", spelling(tokens)))
    if all(kind == "sym" for kind in kinds):
        return all(t.text.isupper() for t in tokens)
    if kinds[0] == "cmd" and tokens[0].text in ("angle", "triangle", "overline", "vec"):
        return True
    if kinds[0] == "sym" and kinds[1:2] == ["open"] and kinds[-1] == "close":
        return tokens[1].text == "(" and all(k in ("sym", "sep") for k in kinds[2:-1])
    if kinds[0] == "open" and kinds[-1] == "close" and tokens[0].text == "(":
        return "sep" in kinds and all(k in ("sym", "sep") for k in kinds[1:-1])
    return False
