"""Cutting a list of tokens at separators outside brackets, and trimming its brackets."""

from collections.abc import Callable
from dataclasses import replace

from rewards.answers.wording.number_words import NUMBER_WORDS
from rewards.answers.wording.roles import Unread
from rewards.math.parse.tokens import MathToken


def depths(tokens: list[MathToken]) -> list[int]:
    """Bracket depth of each token; brackets themselves count as inside."""
    depth = 0
    found: list[int] = []
    for token in tokens:
        if token.kind in ("open", "begin"):
            depth += 1
        found.append(depth)
        if token.kind in ("close", "end"):
            depth -= 1
            if depth < 0:
                raise Unread("a bracket too many")
    if depth:
        raise Unread("a bracket that does not close")
    return found


def at_top(tokens: list[MathToken]) -> list[MathToken]:
    return [t for t, depth in zip(tokens, depths(tokens), strict=True) if depth == 0]


def split(tokens: list[MathToken], separates: Callable[[MathToken], bool]) -> list[list[MathToken]]:
    parts: list[list[MathToken]] = [[]]
    for token, depth in zip(tokens, depths(tokens), strict=True):
        if depth == 0 and separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def is_math(token: MathToken) -> bool:
    """Whether a token is a number, in digits or words, or part of a formula."""
    if token.kind == "word":
        return token.text.lower() in NUMBER_WORDS
    return token.kind not in ("sep", "dots", "open", "close")


def is_separator(token: MathToken) -> bool:
    if token.kind == "word":
        return token.text.lower() in ("and", "or")
    return token.kind == "sep" and token.text in (",", ";")


def listed(tokens: list[MathToken]) -> list[list[MathToken]]:
    """The items of a list; `pens and pencils` after a number is one label."""
    parts = split(tokens, is_separator)
    levels = depths(tokens)
    last = max((p for p, t in enumerate(tokens) if levels[p] == 0 and is_separator(t)), default=0)
    follows = tokens[last + 1 :]
    a_label = tokens[last].text.lower() == "and" and tokens[last - 1].kind == "word" and follows
    if a_label and not any(map(is_math, follows)) and any(map(is_math, parts[-2])):
        parts[-2:] = [[*parts[-2], tokens[last], *follows]]
    return parts


def trimmed(tokens: list[MathToken]) -> list[MathToken]:
    """Without TeX braces, or round brackets around one thing, that hold all of it."""
    while tokens and tokens[-1].kind == "sep" and tokens[-1].text in (",", ";"):
        tokens = tokens[:-1]
    closes: dict[int, int] = {}
    stack: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "open":
            stack.append(place)
        elif token.kind == "close" and stack:
            closes[stack.pop()] = place
    low, high = 0, len(tokens)
    while high - low > 2 and tokens[low].kind == "open" and closes.get(low) == high - 1:
        kinds = (tokens[low].text, tokens[high - 1].text)
        separated = any(t.kind == "sep" for t in tokens[low + 1 : high - 1])
        if kinds not in (("{", "{"), ("(", "(")) or (kinds[0] == "(" and separated):
            break
        low, high = low + 1, high - 1
    return tokens[low:high]


def straightened(tokens: list[MathToken]) -> list[MathToken]:
    """`]1,2[` is the interval (1,2)."""
    if len(tokens) > 3 and any(t.text == "[" for t in (tokens[0], tokens[-1])):
        first, last = tokens[0], tokens[-1]
        if first.kind == "close" and first.text == "[":
            first = replace(first, kind="open", text="(")
        if last.kind == "open" and last.text == "[":
            last = replace(last, kind="close", text="(")
        return [first, *tokens[1:-1], last]
    return tokens
