r"""Tokens -> form: which kind of thing an answer is.

lists      at commas, semicolons, `and`, `or`          relations  at = < > \le ... and \in
brackets   tuple, interval, set, set builder           unions     at \cup, \cap, \setminus
the rest   `items`: quantities, matrices, ratios, times, words
"""

import re
from contextlib import suppress
from dataclasses import replace

from sympy import Integer, Symbol

from rewards.answers.normalize import unstyled
from rewards.answers.unicode_math import to_latex
from rewards.answers.wording.roles import Unread
from rewards.math.parse import items
from rewards.math.parse.asides import (
    without_condition,
    without_gloss,
    without_introduction,
    without_leading_words,
)
from rewards.math.parse.lexer import tokenize
from rewards.math.parse.relations import related
from rewards.math.parse.slicing import (
    at_top,
    depths,
    is_separator,
    listed,
    split,
    straightened,
    trimmed,
)  # fmt: skip
from rewards.math.parse.tokens import MathToken, spelling
from rewards.math.values import regions
from rewards.math.values.forms import (
    Field,
    Form,
    MathGroup,
    Named,
    Relation,
    Scalar,
    Unknown,
)  # fmt: skip

_MOST_ITEMS = 200
_SYSTEMS = ("cases", "aligned", "align", "align*", "gathered")
_SIGNED = {  # what follows the R in `R^+`, `R_{>0}`, `R_{\ge 0}`
    "^+": ">", "_+": ">", "_>0": ">", "^-": "<", "_-": "<", "_<0": "<", "_>=0": ">=",
}  # fmt: skip
_AGAINST = ("to", "in", "of")  # `2 to 3`, `1 in 4`, `5 out of 9`


def readings(text: str, *, comma_decimal: bool = False) -> list[Form]:
    """What the text may mean, the most literal first; never empty, `Unknown` at the least.

    `3,5` may be three and a half where `comma_decimal`; `144,225` may be two numbers.
    """
    number = items.numeral(unstyled(to_latex(text)))
    if number is not None:
        return [number]
    try:
        tokens = trimmed(tokenize(text))
    except Unread:
        return [Unknown(re.sub(r"\s+", "", text))]
    found: list[Form] = []
    for reader in (_whole, items.letter_unit):
        try:
            form = reader(tokens)
        except (Unread, RecursionError, ZeroDivisionError, ValueError, TypeError):
            continue
        if form is not None:
            found.append(form)
    bare = text.strip(" $")
    if comma_decimal and re.fullmatch(r"-?\d+,(?:\d{1,2}|\d{4,})", bare):
        found.append(_whole(tokenize(bare.replace(",", "."))))
    elif re.fullmatch(r"[1-9]\d{2}(?:,[1-9]\d{2})+", bare):
        found.append(_whole(tokenize(bare.replace(",", ", "))))
    return found or [Unknown(spelling(tokens))]


def _whole(tokens: list[MathToken]) -> Form:
    if not tokens:
        raise Unread("empty")
    tokens = without_gloss(without_introduction(straightened(tokens)))
    pieces = split(tokens, lambda t: t.kind == "arrow" and t.text == "=>")
    return read(pieces[-1] if len(pieces) > 1 and pieces[-1] else tokens)


def read(tokens: list[MathToken]) -> Form:
    """The form that all of the tokens make up; Unread otherwise."""
    tokens = trimmed(tokens)
    if not tokens:
        raise Unread("empty")
    if any(t.kind == "dots" for t in tokens) and len(tokens) > 1:
        raise Unread("dots")
    time = items.clock(tokens) or items.compound(tokens)
    if time is not None:
        return time
    if tokens[0].kind == "begin" and tokens[0].text in _SYSTEMS:
        # the rows of `\begin{cases} x = 1 \\ y = 2 \end{cases}` as a list
        if [t.kind for t in tokens if t.kind in ("begin", "end")] != ["begin", "end"]:
            raise Unread("a system inside something else")
        inner = [t for t in tokens[1:-1] if t.kind != "amp"]
        tokens = trimmed(
            [replace(t, kind="sep", text=",") if t.kind == "row" else t for t in inner]
        )
    except_ = next((p for p, t in enumerate(tokens) if t.text in ("except", "excluding")), 0)
    if except_ and tokens[except_].kind == "word" and tokens[except_ + 1 :]:
        left_out = read(tokens[except_ + 1 :])  # `all real numbers except -3`
        points = left_out if isinstance(left_out, MathGroup) else MathGroup("set", (left_out,))
        outside = regions.of(MathGroup("set", points.items))
        region = regions.combine(regions.of(read(tokens[:except_])), "minus", outside)
        if region is None:
            raise Unread("except what")
        return region
    plain_words = items.words(tokens)
    if isinstance(plain_words, Field | MathGroup | Scalar):
        return plain_words
    parts = listed(tokens)
    if len(parts) > 1 and parts[-1] and not without_condition(parts[-1]):
        return read(tokens[: -len(parts[-1])])
    if len(parts) > 1:
        return _list(tokens, parts)
    return plain_words or _one(tokens)


def _one(tokens: list[MathToken]) -> Form:
    tokens = without_condition(tokens)
    if not tokens:
        raise Unread("a condition alone")
    if not items.starts_quantity(tokens):
        tokens = without_leading_words(tokens)
    # `(3, 4)^T` without the sign: a vector is compared by its entries
    texts = [t.text for t in tokens if t.text != "{"]
    transposed = texts[-2:] in (["^", "T"], ["^", "top"])
    if transposed and texts[-3:-2] == ["("] and "," in texts and tokens[0].kind == "open":
        tokens = tokens[: max(place for place, token in enumerate(tokens) if token.text == "^")]
    in_set = tokens[0].text == tokens[-1].text == "set"
    if any(t.kind == "op" and t.text in ("pm", "mp") for t in tokens) and not in_set:
        return _both_signs(tokens)
    depth_zero = at_top(tokens)
    if any(t.kind in ("rel", "in") for t in depth_zero):
        return related(tokens, read)
    colon = split(tokens, lambda t: t.text == ":" or (t.kind == "word" and t.text in _AGAINST))
    if len(colon) > 1 and all(colon):
        if colon[0][-1].text == "out":
            colon[0] = colon[0][:-1]
        with suppress(Unread):  # `24 ways to choose` is not a ratio
            return items.ratio(colon)
    if any(t.kind == "setop" for t in depth_zero):
        return _combined(tokens)
    if any(t.kind == "begin" for t in tokens):
        form = items.matrix(tokens)
        if form is not None:
            return form
    bracketed = _bracketed(tokens)
    if bracketed is not None:
        return bracketed
    if len(tokens) == 1 and tokens[0].kind == "field":
        return Field(tokens[0].text)
    if len(tokens) == 1 and tokens[0].kind == "empty":
        return MathGroup("set", ())
    sign = _SIGNED.get("".join(t.text for t in tokens[1:] if t.text != "{"))
    if tokens[0].kind == "field" and tokens[0].text == "R" and sign:
        return regions.simple(Relation(Symbol(""), sign, Integer(0))) or Field("R")
    if any(t.kind == "field" for t in tokens):
        return _combined([replace(t, kind="setop", text="minus") if t.text == "-" else t
                          for t in tokens])  # fmt: skip
    return items.quantity(tokens)


# -- lists ---------------------------------------------------------------------------------------


def _list(tokens: list[MathToken], parts: list[list[MathToken]]) -> Form:
    if len(parts) > _MOST_ITEMS:
        raise Unread("more items than an answer has")
    words = {t.text.lower() for t in at_top(tokens) if t.kind == "word"}
    joined = "or" if "or" in words else "and" if "and" in words else ","
    forms = [read(part) for part in parts if part]
    if len(forms) > 1:  # `k \in \mathbb{Z}` beside an answer in k
        forms = [f for f in forms if not (isinstance(f, Named) and f.value == Field("Z"))]
    region = regions.joined(forms, joined)
    if region is not None:
        return region
    if len(forms) == 1:
        return forms[0]
    flat = list(_flat(forms))
    named = [form for form in flat if isinstance(form, Named)]
    if len(named) == 1 and flat[0] is named[0] and all(isinstance(f, Scalar) for f in flat[1:]):
        flat[1:] = [Named(named[0].name, form) for form in flat[1:]]  # `x = 1, 2`
    return MathGroup("list", tuple(flat), joined=joined)


def _both_signs(tokens: list[MathToken]) -> Form:
    """`a \\pm b` is a list of two; `\\mp` takes the other sign. More than two signs are refused."""
    places = [p for p, t in enumerate(tokens) if t.kind == "op" and t.text in ("pm", "mp")]
    if len(places) > 3:
        raise Unread("too many double signs")
    coupled = any(tokens[p].text == "mp" for p in places)
    choices = [1, -1] if coupled or len(places) == 1 else list(range(2 ** len(places)))
    forms: list[Form] = []
    for choice in choices:
        chosen = list(tokens)
        for order, place in enumerate(places):
            if len(choices) > 2:
                plus = bool(choice >> order & 1)
            else:
                plus = (choice > 0) == (tokens[place].text == "pm")
            chosen[place] = MathToken("op", "+" if plus else "-", gap=tokens[place].gap)
        forms.append(read(chosen))
    if all(isinstance(form, Named) for form in forms):
        return MathGroup("list", tuple(forms))
    return MathGroup("list", _flat(forms))


def _flat(forms: list[Form]) -> tuple[Form, ...]:
    """Lists in the list opened up."""
    flat: list[Form] = []
    for form in forms:
        flat.extend(form.items if isinstance(form, MathGroup) and form.kind == "list" else (form,))
    return tuple(flat)


# -- brackets and unions -------------------------------------------------------------------------


def _bracketed(tokens: list[MathToken]) -> Form | None:
    """A tuple, interval or set when brackets hold all of it; None for anything else."""
    if tokens[0].kind != "open" or tokens[-1].kind != "close" or len(tokens) < 2:
        return None
    if depths(tokens)[:-1].count(0) or any(
        d == 1 and t.kind == "close"
        for t, d in list(zip(tokens, depths(tokens), strict=True))[1:-1]
    ):
        return None
    opening, closing, inner = tokens[0].text, tokens[-1].text, tokens[1:-1]
    if opening == "set":
        if not inner:
            return MathGroup("set", ())
        builder = split(inner, lambda t: t.kind == "bar" or t.text == ":")
        if len(builder) == 2 and all(builder):
            condition = read(builder[1])
            region = regions.of(condition)
            if region is not None:
                return region
            roots = regions.roots(condition)
            if roots is not None:
                return roots
            return Named(spelling(builder[0]), condition)
        members: list[Form] = []
        for part in split(inner, is_separator):
            form = read(part) if part else None
            if isinstance(form, MathGroup) and form.kind == "list":
                members.extend(form.items)
            elif form is not None:
                members.append(form)
        return MathGroup("set", tuple(members))
    parts = split(inner, lambda t: t.kind == "sep" and t.text in (",", ";"))
    if len(parts) == 1 and opening != "<":
        if opening != closing:
            raise Unread("brackets that do not match")
        return None
    if opening not in ("(", "[", "<"):
        return None
    closing = {"(": ")", "[": "]"}.get(closing, ")")
    forms = tuple(read(part) for part in parts)
    return MathGroup("tuple", forms, opening="(" if opening == "<" else opening, closing=closing)


def _combined(tokens: list[MathToken]) -> Form:
    parts = split(tokens, lambda t: t.kind == "setop")
    signs = [t.text for t in at_top(tokens) if t.kind == "setop"]
    if not signs or not all(parts):
        raise Unread("a union with one side")
    forms = [read(part) for part in parts]
    if set(signs) == {"cup"} and all(isinstance(f, MathGroup) and f.kind == "set" for f in forms):
        return MathGroup(
            "set", tuple(i for f in forms if isinstance(f, MathGroup) for i in f.items)
        )
    region = regions.of(forms[0])
    for sign, form in zip(signs, forms[1:], strict=True):
        region = regions.combine(region, sign, regions.of(form))
    if region is None:
        raise Unread("a union of what is not a set of reals")
    return region
