"""The words around a formula in an answer: introductions, glosses, conditions, labels."""

from dataclasses import replace

from rewards.answers.wording.number_words import number_from_words
from rewards.answers.wording.roles import (
    Unread,
    check_condition,
    check_introduction,
    check_label,
    has,
    refuse,
    words_of,
)
from rewards.math.parse.slicing import depths, is_math
from rewards.math.parse.tokens import MathToken


def words_in(tokens: list[MathToken]) -> str:
    return " ".join(t.text for t in tokens if t.kind == "word" or (t.roman and t.text == "a"))


def without_introduction(tokens: list[MathToken]) -> list[MathToken]:
    """Drop "The answer is", "x is", "Total:": up to the last verb or colon before any number."""
    levels = depths(tokens)
    for place in range(len(tokens) - 2, 0, -1):
        token = tokens[place]
        verb = token.kind == "word" and has(token.text.lower(), "states")
        colon = token.text == ":" and all(t.kind == "word" for t in tokens[:place])
        if levels[place] == 0 and (verb or colon):
            before, rest = tokens[: place + verb], tokens[place + 1 :]
            if any(t.kind == "num" for t in before):
                break
            in_words = words_in(rest) and all(t.kind in ("word", "sym", "sep") for t in rest)
            if in_words and number_from_words(words_in(rest)) is None:
                refuse(words_of(words_in(before)))
            else:
                check_introduction(words_in(before), adjacent=False)
            return rest
    return tokens


def without_leading_words(tokens: list[MathToken]) -> list[MathToken]:
    """Without the words before a formula; `negative 5` is -5, `area of triangle ABC = 5` is 5."""
    count = next((p for p, token in enumerate(tokens) if token.kind != "word"), 0)
    if not count:
        return tokens
    if tokens[count - 1].text.lower() in ("negative", "minus"):
        check_introduction(words_in(tokens[: count - 1]))
        return [replace(tokens[count - 1], kind="op", text="-"), *tokens[count:]]
    in_words = number_from_words(words_in(tokens[:count]))
    if in_words is not None:  # `thirteen (13)`
        if [t.value for t in tokens[count:] if t.kind not in ("open", "close")] != [in_words]:
            raise Unread("a number in words and another thing")
        return tokens[count:]
    equals = next((p for p, t in enumerate(tokens) if t.text == "=" and t.kind == "rel"), 0)
    named = equals > 0 and all(t.kind == "sym" for t in tokens[count:equals])
    in_phrase = check_introduction(words_in(tokens[:count]), adjacent=not named)
    return tokens[equals:] if named and in_phrase else tokens[count:]


def without_gloss(tokens: list[MathToken]) -> list[MathToken]:
    """Drop words in brackets at the end: `8 (eight)`."""
    opening = max((p for p, t in enumerate(tokens) if t.kind == "open"), default=0)
    inner = tokens[opening + 1 : -1]
    bracketed = opening and tokens[-1].kind == "close" and tokens[-1].text == "("
    if not bracketed or not inner or any(t.kind != "word" for t in inner):
        return tokens
    if number_from_words(words_in(inner)) is None:
        check_label(words_in(inner))
    return tokens[:opening]


def without_condition(tokens: list[MathToken]) -> list[MathToken]:
    """Without `for all real x`, `where k is an integer` at the end; empty for a condition alone."""
    for place, token in enumerate(tokens):
        if token.kind == "word" and has(token.text.lower(), "limits"):
            rest = tokens[place + 1 :]
            try:
                check_condition(words_in(rest))
            except Unread:
                if any(is_math(t) for t in rest):
                    raise
                return tokens
            return tokens[:place]
    return tokens
