r"""Tokens -> form: which kind of thing an answer is.

lists      at commas, semicolons, `and`, `or`          relations  at = < > \le ... and \in
brackets   tuple, interval, set, set builder           unions     at \cup, \cap, \setminus
the rest   `items`: quantities, matrices, ratios, times, words
"""

import re
from collections.abc import Callable
from dataclasses import replace

from rewards.math import items, regions, scalar
from rewards.math.forms import (
    Chain, Field, Form, Group, Named, Region, Relation, Scalar, Unknown, Words,
)  # fmt: skip
from rewards.math.tokens import Token, Unreadable, spelling, tokenize
from rewards.normalize import plain, unstyled

_NEGATIONS = frozenset("not neither nor cannot never isn't aren't".split())
_VAGUE = frozenset(
    "one-of among between least most maybe perhaps possibly either whatever something anything "
    "wrong incorrect guess some any might may could can than less more greater fewer under over below above up".split()
)
_VERBS = frozenset("is are equals equal be was gives yields".split())
_CONDITIONS = frozenset("where for with when whenever provided".split())
_MOST_ITEMS = 200


def readings(text: str, *, comma_decimal: bool = False) -> list[Form]:
    """What the text may mean, the most literal first; never empty, `Unknown` at the least.

    `3,5` may be three and a half where `comma_decimal`; `144,225` may be two numbers.
    """
    number = items.numeral(unstyled(plain(text)))
    if number is not None:
        return [number]
    try:
        tokens = _trimmed(tokenize(text))
    except Unreadable:
        return [Unknown(re.sub(r"\s+", "", text))]
    found: list[Form] = []
    for reader in (_whole, items.letter_unit):
        try:
            form = reader(tokens)
        except (Unreadable, RecursionError, ZeroDivisionError, ValueError, TypeError):
            continue
        if form is not None:
            found.append(form)
    bare = text.strip(" $")
    if comma_decimal and re.fullmatch(r"-?\d+,(?:\d{1,2}|\d{4,})", bare):
        found.append(_whole(tokenize(bare.replace(",", "."))))
    elif re.fullmatch(r"[1-9]\d{2}(?:,[1-9]\d{2})+", bare):
        found.append(_whole(tokenize(bare.replace(",", ", "))))
    return found or [Unknown(spelling(tokens))]


def _whole(tokens: list[Token]) -> Form:
    if not tokens:
        raise Unreadable("empty")
    tokens = _without_gloss(_without_introduction(_straightened(tokens)))
    pieces = _split(tokens, lambda t: t.kind == "arrow" and t.text == "=>")
    return read(pieces[-1] if len(pieces) > 1 and pieces[-1] else tokens)


def read(tokens: list[Token]) -> Form:
    """The form that all of the tokens make up; Unreadable otherwise."""
    tokens = _trimmed(tokens)
    if not tokens:
        raise Unreadable("empty")
    if any(t.kind == "dots" for t in tokens) and len(tokens) > 1:
        raise Unreadable("dots")
    time = items.clock(tokens)
    if time is not None:
        return time
    except_ = next((p for p, t in enumerate(tokens) if t.text in ("except", "excluding")), 0)
    if except_ and tokens[except_].kind == "word" and tokens[except_ + 1 :]:
        return _excepted(tokens[:except_], tokens[except_ + 1 :])
    plain_words = items.words(tokens)
    if isinstance(plain_words, Field | Group | Scalar):
        return plain_words
    parts = _split(tokens, _separates)
    if len(parts) > 1:
        return _list(tokens, parts)
    return plain_words or _one(tokens)


def _excepted(whole: list[Token], left_out: list[Token]) -> Form:
    """`all real numbers except -3`."""
    inner = read(left_out)
    points = inner if isinstance(inner, Group) else Group("set", (inner,))
    outside = regions.of(Group("set", points.items))
    region = regions.combine(regions.of(read(whole)), "minus", outside)
    if region is None:
        raise Unreadable("except what")
    return region


def _one(tokens: list[Token]) -> Form:
    tokens = _without_condition(tokens)
    in_set = tokens[0].text == tokens[-1].text == "set"
    if any(t.kind == "op" and t.text in ("pm", "mp") for t in tokens) and not in_set:
        return _both_signs(tokens)
    depth_zero = _top(tokens)
    if any(t.kind in ("rel", "in") for t in depth_zero):
        return _related(tokens)
    colon = _split(tokens, lambda t: t.text == ":" or (t.kind == "word" and t.text == "to"))
    if len(colon) > 1 and all(colon):
        return items.ratio(colon)
    if any(t.kind == "setop" for t in depth_zero):
        return _combined(tokens)
    if any(t.kind == "begin" for t in tokens):
        form = items.matrix(tokens)
        if form is not None:
            return form
    return _bracketed(tokens) or _simple(tokens)


def _simple(tokens: list[Token]) -> Form:
    if len(tokens) == 1 and tokens[0].kind == "field":
        return Field(tokens[0].text)
    if len(tokens) == 1 and tokens[0].kind == "empty":
        return Group("set", ())
    if any(t.kind == "field" for t in tokens):
        return _combined([replace(t, kind="setop", text="minus") if t.text == "-" else t
                          for t in tokens])  # fmt: skip
    while len(tokens) > 1 and tokens[0].kind == "word" and not items.starts_quantity(tokens):
        _refuse_vague(tokens[:1])
        tokens = tokens[1:]
    return items.quantity(tokens)


# -- splitting -----------------------------------------------------------------------------------


def _depths(tokens: list[Token]) -> list[int]:
    """Bracket depth of each token; brackets themselves count as inside."""
    depth, depths = 0, []
    for token in tokens:
        if token.kind in ("open", "begin"):
            depth += 1
        depths.append(depth)
        if token.kind in ("close", "end"):
            depth -= 1
            if depth < 0:
                raise Unreadable("a bracket too many")
    if depth:
        raise Unreadable("a bracket that does not close")
    return depths


def _top(tokens: list[Token]) -> list[Token]:
    return [t for t, depth in zip(tokens, _depths(tokens), strict=True) if depth == 0]


def _split(tokens: list[Token], separates: Callable[[Token], bool]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token, depth in zip(tokens, _depths(tokens), strict=True):
        if depth == 0 and separates(token):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _separates(token: Token) -> bool:
    if token.kind == "word":
        return token.text.lower() in ("and", "or")
    return token.kind == "sep" and token.text in (",", ";")


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Without TeX braces, or round brackets around one thing, that hold all of it."""
    while tokens and tokens[-1].kind == "sep" and tokens[-1].text in (",", ";"):
        tokens = tokens[:-1]
    while len(tokens) >= 2 and tokens[0].kind == "open" and tokens[-1].kind == "close":
        braces = tokens[0].text == tokens[-1].text == "{"
        round_ = tokens[0].text == tokens[-1].text == "("
        depth = 0
        for place, token in enumerate(tokens):
            depth += {"open": 1, "close": -1}.get(token.kind, 0)
            if depth == 0:
                break
        inner = tokens[1:-1]
        if place < len(tokens) - 1 or not inner or not (braces or round_):
            break
        if round_ and any(t.kind == "sep" for t in inner):
            break
        tokens = inner
    return tokens


def _without_introduction(tokens: list[Token]) -> list[Token]:
    """Drop "The answer is", "x is": what stands before the last verb, if it has no number."""
    depths = _depths(tokens)
    for place in range(len(tokens) - 1, 0, -1):
        token = tokens[place]
        if depths[place] == 0 and token.kind == "word" and token.text.lower() in _VERBS:
            before = tokens[:place]
            if place + 1 < len(tokens) and not any(t.kind == "num" for t in before):
                _refuse_vague(before)
                return tokens[place + 1 :]
            break
    colon = next((p for p, t in enumerate(tokens) if t.text == ":" and depths[p] == 0), 0)
    if colon and all(t.kind == "word" for t in tokens[:colon]) and colon + 1 < len(tokens):
        _refuse_vague(tokens[:colon])
        return tokens[colon + 1 :]
    return tokens


def _straightened(tokens: list[Token]) -> list[Token]:
    """`]1,2[` is the interval (1,2)."""
    if len(tokens) > 3 and any(t.text == "[" for t in (tokens[0], tokens[-1])):
        first, last = tokens[0], tokens[-1]
        if first.kind == "close" and first.text == "[":
            first = replace(first, kind="open", text="(")
        if last.kind == "open" and last.text == "[":
            last = replace(last, kind="close", text="(")
        return [first, *tokens[1:-1], last]
    return tokens


def _without_gloss(tokens: list[Token]) -> list[Token]:
    """Drop words in brackets at the end: `8 (eight)`."""
    opening = max((p for p, t in enumerate(tokens) if t.kind == "open"), default=0)
    inner = tokens[opening + 1 : -1]
    if opening and tokens[-1].kind == "close" and tokens[-1].text == "(" and inner:
        if all(t.kind == "word" for t in inner):
            _refuse_vague(inner)
            if not any(t.text.lower() in ("or", "and") for t in inner):
                return tokens[:opening]
    return tokens


def _refuse_vague(tokens: list[Token]) -> None:
    for token in tokens:
        if token.text.lower() in _NEGATIONS or token.text.lower() in _VAGUE:
            raise Unreadable(f"{token.text!r} settles nothing")


def _without_condition(tokens: list[Token]) -> list[Token]:
    for place, token in enumerate(tokens):
        if place and token.kind == "word" and token.text.lower() in _CONDITIONS:
            return tokens[:place]
    return tokens


# -- lists ---------------------------------------------------------------------------------------


def _list(tokens: list[Token], parts: list[list[Token]]) -> Form:
    if len(parts) > _MOST_ITEMS:
        raise Unreadable("more items than an answer has")
    words = {t.text.lower() for t in _top(tokens) if t.kind == "word"}
    joined = "or" if "or" in words else "and" if "and" in words else ","
    forms = [read(part) for part in parts if part]
    forms = [form for form in forms if not _is_side_condition(form, len(forms))]
    region = regions.joined(forms, joined)
    if region is not None:
        return region
    if len(forms) == 1:
        return forms[0]
    flat: list[Form] = []
    for form in forms:
        if isinstance(form, Group) and form.kind == "list":
            flat.extend(form.items)
        else:
            flat.append(form)
    if flat and isinstance(flat[0], Named):
        flat = _share_name(flat)
    return Group("list", tuple(flat), joined=joined)


def _is_side_condition(form: Form, count: int) -> bool:
    """`k \\in \\mathbb{Z}` beside an answer in k."""
    return count > 1 and isinstance(form, Named) and form.value == Field("Z")


def _share_name(forms: list[Form]) -> list[Form]:
    """`x = 1, 2` names both values x."""
    named = [f for f in forms if isinstance(f, Named)]
    if len(named) == 1 and all(isinstance(f, Scalar) for f in forms[1:]):
        return [forms[0], *(Named(named[0].name, form) for form in forms[1:])]
    return forms


def _both_signs(tokens: list[Token]) -> Form:
    """`a \\pm b` is a list of two; `\\mp` takes the other sign. More than two signs are refused."""
    places = [p for p, t in enumerate(tokens) if t.kind == "op" and t.text in ("pm", "mp")]
    if len(places) > 3:
        raise Unreadable("too many double signs")
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
            chosen[place] = Token("op", "+" if plus else "-", gap=tokens[place].gap)
        forms.append(read(chosen))
    if all(isinstance(form, Named) for form in forms):
        return Group("list", tuple(forms))
    flat = [item for form in forms for item in (form.items if isinstance(form, Group) and form.kind == "list" else (form,))]  # fmt: skip
    return Group("list", tuple(flat))


# -- relations -----------------------------------------------------------------------------------


def _related(tokens: list[Token]) -> Form:
    parts = _split(tokens, lambda t: t.kind in ("rel", "in"))
    signs = [t.text for t in _top(tokens) if t.kind in ("rel", "in")]
    if not parts[0] and signs[0] in ("=", "~"):
        parts, signs = parts[1:], signs[1:]
        if not signs:
            return read(parts[0])
    if not all(parts):
        raise Unreadable("a relation with one side")
    if signs[0] in ("in", "notin"):
        return _member(parts, signs)
    if set(signs) <= {"=", "~"}:
        return _equated(parts, signs)
    if "~" in signs or "in" in signs or "notin" in signs:
        raise Unreadable("mixed relations")
    if signs.count("=") == 1 and len(signs) == 2 and "=" in signs:
        raise Unreadable("mixed relations")
    sides = [scalar.parse(_unnamed(part)).value for part in parts]
    if not any(side.free_symbols for side in sides):
        raise Unreadable("a statement without a variable")
    if len(sides) == 2:
        relation = Relation(sides[0], signs[0], sides[1])
        return regions.simple(relation) or relation
    relations = [Relation(sides[k], signs[k], sides[k + 1]) for k in range(len(signs))]
    region = regions.joined([regions.simple(r) or r for r in relations], "and")
    return region or Group("list", tuple(relations), joined="and")


def _unnamed(tokens: list[Token]) -> list[Token]:
    return [t for t in tokens if t.kind != "word"]


def _member(parts: list[list[Token]], signs: list[str]) -> Form:
    if len(parts) != 2:
        raise Unreadable("several memberships")
    value = read(parts[1])
    if signs[0] == "notin":
        region = regions.complement(regions.of(value))
        if region is None:
            raise Unreadable("not in what")
        value = region
    return Named(spelling(parts[0]), value)


def _equated(parts: list[list[Token]], signs: list[str]) -> Form:
    if all(sign == "=" for sign in signs) and len(parts) == 2 and _is_name(parts[1]):
        if not _is_name(parts[0]):
            parts = [parts[1], parts[0]]
    if _is_name(parts[0]):
        rest = parts[1:]
        value = read(rest[0]) if len(rest) == 1 else _chain(rest, signs[1:])
        return Named(spelling([t for t in parts[0] if t.kind != "open" or t.text != "{"]), value)
    if len(parts) == 2 and signs == ["="]:
        try:
            left, right = (scalar.parse(part).value for part in parts)
        except Unreadable:
            return Named("", read(parts[1]))
        if left.free_symbols or right.free_symbols:
            return Relation(left, "=", right)
    return _chain(parts, signs)


def _chain(parts: list[list[Token]], signs: list[str]) -> Form:
    return Chain(tuple(read(part) for part in parts), tuple(sign == "~" for sign in signs))


def _is_name(tokens: list[Token]) -> bool:
    """A letter, `f(x)`, `(x, y)`, words: something that is called, not computed."""
    kinds = [t.kind for t in tokens]
    if kinds == ["sym"]:
        return tokens[0].text != "pi"
    if "num" in kinds and not any(t.kind == "word" for t in tokens[:1]):
        return bool(re.fullmatch(r"[A-Za-z](?:_\w+)?'* \( [\d., ]+ \(", spelling(tokens)))
    if all(kind in ("word", "sym") for kind in kinds):
        return any(kind == "word" for kind in kinds) or all(t.text.isupper() for t in tokens)
    if kinds[0] == "cmd" and tokens[0].text in ("angle", "triangle", "overline", "vec"):
        return True
    if kinds[0] == "sym" and kinds[1:2] == ["open"] and kinds[-1] == "close":
        return tokens[1].text == "(" and all(k in ("sym", "sep") for k in kinds[2:-1])
    if kinds[0] == "open" and kinds[-1] == "close":
        return tokens[0].text == "(" and all(k in ("sym", "sep") for k in kinds[1:-1]) and "sep" in kinds  # fmt: skip
    return False


# -- brackets and unions -------------------------------------------------------------------------


def _bracketed(tokens: list[Token]) -> Form | None:
    """A tuple, interval or set when brackets hold all of it; None for anything else."""
    if tokens[0].kind != "open" or tokens[-1].kind != "close" or len(tokens) < 2:
        return None
    if _depths(tokens)[:-1].count(0) or any(
        d == 1 and t.kind == "close"
        for t, d in list(zip(tokens, _depths(tokens), strict=True))[1:-1]
    ):
        return None
    opening, closing, inner = tokens[0].text, tokens[-1].text, tokens[1:-1]
    if opening == "set":
        return _set(inner)
    parts = _split(inner, lambda t: t.kind == "sep" and t.text in (",", ";"))
    if len(parts) == 1 and opening != "<":
        if opening != closing:
            raise Unreadable("brackets that do not match")
        return None
    if opening not in ("(", "[", "<"):
        return None
    closing = {"(": ")", "[": "]"}.get(closing, ")")
    forms = tuple(read(part) for part in parts)
    return Group("tuple", forms, opening="(" if opening == "<" else opening, closing=closing)


def _set(inner: list[Token]) -> Form:
    if not inner:
        return Group("set", ())
    builder = _split(inner, lambda t: t.kind == "bar" or t.text == ":")
    if len(builder) == 2 and all(builder):
        condition = read(builder[1])
        region = regions.of(condition)
        if region is not None:
            return region
        return Named(spelling(builder[0]), condition)
    parts = _split(inner, _separates)
    forms: list[Form] = []
    for part in parts:
        form = read(part) if part else None
        if isinstance(form, Group) and form.kind == "list":
            forms.extend(form.items)
        elif form is not None:
            forms.append(form)
    return Group("set", tuple(forms))


def _combined(tokens: list[Token]) -> Form:
    parts = _split(tokens, lambda t: t.kind == "setop")
    signs = [t.text for t in _top(tokens) if t.kind == "setop"]
    if not signs or not all(parts):
        raise Unreadable("a union with one side")
    forms = [read(part) for part in parts]
    if set(signs) == {"cup"} and all(isinstance(f, Group) and f.kind == "set" for f in forms):
        return Group("set", tuple(i for f in forms if isinstance(f, Group) for i in f.items))
    region = regions.of(forms[0])
    for sign, form in zip(signs, forms[1:], strict=True):
        region = regions.combine(region, sign, regions.of(form))
    if region is None:
        raise Unreadable("a union of what is not a set of reals")
    return region
