"""Cutting a list of tokens: at separators outside brackets, and free of what says nothing."""

from collections.abc import Callable
from dataclasses import replace

from rewards.answers.hedging import CHANGING, NEGATIONS, ONE_OF, VAGUE
from rewards.answers.words import word_set
from rewards.math.parse.tokens import MathToken, Unreadable

_VERBS = word_set("is are equals equal be was gives yields")
_CONDITIONS = word_set("where for with when whenever provided")


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
                raise Unreadable("a bracket too many")
    if depth:
        raise Unreadable("a bracket that does not close")
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


def is_separator(token: MathToken) -> bool:
    if token.kind == "word":
        return token.text.lower() in ("and", "or")
    return token.kind == "sep" and token.text in (",", ";")


def trimmed(tokens: list[MathToken]) -> list[MathToken]:
    """Without TeX braces, or round brackets around one thing, that hold all of it."""
    while tokens and tokens[-1].kind == "sep" and tokens[-1].text in (",", ";"):
        tokens = tokens[:-1]
    closes = _closing_places(tokens)
    low, high = 0, len(tokens)
    while high - low > 2 and tokens[low].kind == "open" and closes.get(low) == high - 1:
        kinds = (tokens[low].text, tokens[high - 1].text)
        separated = any(t.kind == "sep" for t in tokens[low + 1 : high - 1])
        if kinds not in (("{", "{"), ("(", "(")) or (kinds[0] == "(" and separated):
            break
        low, high = low + 1, high - 1
    return tokens[low:high]


def _closing_places(tokens: list[MathToken]) -> dict[int, int]:
    closes: dict[int, int] = {}
    stack: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "open":
            stack.append(place)
        elif token.kind == "close" and stack:
            closes[stack.pop()] = place
    return closes


def without_introduction(tokens: list[MathToken]) -> list[MathToken]:
    """Drop "The answer is", "x is": what stands before the last verb, if it has no number."""
    levels = depths(tokens)
    for place in range(len(tokens) - 1, 0, -1):
        token = tokens[place]
        if levels[place] == 0 and token.kind == "word" and token.text.lower() in _VERBS:
            before = tokens[:place]
            if place + 1 < len(tokens) and not any(t.kind == "num" for t in before):
                refuse_vague(before)
                return tokens[place + 1 :]
            break
    colon = next((p for p, t in enumerate(tokens) if t.text == ":" and levels[p] == 0), 0)
    if colon and all(t.kind == "word" for t in tokens[:colon]) and colon + 1 < len(tokens):
        refuse_vague(tokens[:colon])
        return tokens[colon + 1 :]
    return tokens


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


def without_gloss(tokens: list[MathToken]) -> list[MathToken]:
    """Drop words in brackets at the end: `8 (eight)`."""
    opening = max((p for p, t in enumerate(tokens) if t.kind == "open"), default=0)
    inner = tokens[opening + 1 : -1]
    bracketed = opening and tokens[-1].kind == "close" and tokens[-1].text == "("
    if not bracketed or not inner or any(t.kind != "word" for t in inner):
        return tokens
    refuse_vague(inner)
    offers_more = any(t.text.lower() in ("or", "and") for t in inner)
    return tokens if offers_more else tokens[:opening]


def refuse_vague(tokens: list[MathToken]) -> None:
    if ONE_OF.search(" ".join(token.text for token in tokens)):
        raise Unreadable("one of several")
    for token in tokens:
        if token.text.lower() in NEGATIONS or token.text.lower() in VAGUE:
            raise Unreadable(f"{token.text!r} settles nothing")


def without_leading_words(tokens: list[MathToken]) -> list[MathToken]:
    """Without the words before a number; `negative 5` is -5, and `twice 5` is refused."""
    while len(tokens) > 1 and tokens[0].kind == "word":
        refuse_vague(tokens[:2])
        word, tokens = tokens[0], tokens[1:]
        if word.text.lower() in CHANGING:
            raise Unreadable(f"{word.text!r} changes what follows")
        if word.text.lower() in ("negative", "minus"):
            return [replace(word, kind="op", text="-"), *tokens]
    return tokens


def without_condition(tokens: list[MathToken]) -> list[MathToken]:
    for place, token in enumerate(tokens):
        if place and token.kind == "word" and token.text.lower() in _CONDITIONS:
            return tokens[:place]
    return tokens
