r"""Sentences of a response: where a clause ends, and the number or formula that one states."""

import re

from rewards.answers.wording.roles import (
    WORD,
    Refused,
    Unread,
    has,
    label_size,
    may_change,
    refuse,
    states_a_number,
    words_of,
)

_WINDOW = 4000  # characters at the end of a response that are searched for a last number
_STOP = re.compile(
    r"\n|(?:[;!?]|(?<!\.)\.)(?=\s|$|[\"')*\]])"
    r"|,\s+(?:not|since|because|which|so|as|where|but|and so|thus)\b"
    r"|\s+\(?(?:because|since)\b|\s+\((?=not\b)"
)
_ABBREVIATED = re.compile(r"(?:^|[\s\d])(?:[ap]\.?m|\(?[A-J]\)?|sq|approx)$", re.IGNORECASE)
_MATH = r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\$[^$\n]+\$(?!\d)"
_FENCED = re.compile(_MATH, re.DOTALL)
_MARKUP = re.compile(r"\*\*|__|`+|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_QUANTITY = re.compile(r"[\s$\\(\[-]*[\d.]")
_PLACE = re.compile(
    r",?\s+(?:attained|achieved|reached|occurring|when|which occurs|obtained)\b[^.!?,\n]*$",
    re.IGNORECASE,
)
_COLUMN = re.compile(  # candidates, a line each
    r"(?:^|\n)(?:\s*[$(]?-?\d[\d.,]*[$).]*\s*(?:\n|$)){3}\Z"
)
_JOINS = r"\b(?:and|or|x|sqrt|pi|sin|cos|tan|log|ln|to)\b"
_RUN = re.compile(
    rf"(?:{_MATH}|{_JOINS}|\\[A-Za-z]+|[\d\s\\+*/^_=(){{}}\[\],.%$:!<>|-]"
    "|[\u20ac\u00a3\u00b0\u2212\u00d7\u00f7\u00b7\u221a\u03c0\u2264\u2265\u221e])+",
    re.DOTALL,
)
_LEADING = re.compile(r"^(?:[\s,.)=:*/]|\b(?:and|or|to|x)\b)+")
_TRAILING = re.compile(rf"(?:{_JOINS}|[\s+*/^_=({{\[,.:!<>|\\-])+$")
_ENUMERATOR = re.compile(r"\s*\d+\)")
_LETTER = re.compile(r"[\s$\\()\[\]]*[A-Za-z]?[\s$\\()\[\]]*")


def unmarked(text: str) -> str:
    """Without markdown emphasis and code marks."""
    return _MARKUP.sub("", text).strip()


def clause(text: str) -> str:
    """The first clause of `text`, without markup; a formula in front is kept whole."""
    text = text[:_WINDOW].lstrip(" \t\r\n:*_`\"'")
    fenced = _FENCED.match(text)
    for stop in _STOP.finditer(text, fenced.end() if fenced else 0):
        before, after = text[: stop.start()], text[stop.end() :].strip()
        if text[stop.start()] == "." and _ABBREVIATED.search(before):
            if after and not re.match(r"[A-Z][a-z]", after):
                continue
            if before[-1] in "mM" and "." in before[-3:]:
                return unmarked(before + ".")  # of "p.m."
        if before.count("$") % 2 == 0 and before.count("(") <= before.count(")"):
            return unmarked(before)
    return unmarked(text)


def without_place(sentence: str) -> str:
    """Without a closing ", attained at ...", "when ..."."""
    return _PLACE.sub("", sentence.rstrip(" .")) or sentence


def closing_math(text: str) -> str:
    """The text when it is one formula between math signs and nothing else; empty otherwise."""
    if _FENCED.fullmatch(text) is None:
        return ""
    size = 1 if text[0] == "$" != text[1] else 2
    inner = text[size:-size]
    return "" if text[:size] in inner or text[-size:] in inner else inner


def stated(text: str) -> str:
    """What the last sentence that has a number or formula states, with the words after it.

    Refused when that sentence denies, asks or leaves a choice, when a later one does, and after a
    column of numbers. Unread when it is not known what the words before the number make of it.
    """
    tail = text[-_WINDOW:]
    if _COLUMN.search(tail.rstrip()):
        raise Refused("a column of numbers")
    sentences, begin = [], 0
    for end in re.finditer(r"\n+|[.!?](?=\s|$)|\Z", tail):
        piece = tail[begin : end.end()]
        in_dollars = piece.count("$") % 2 and "$$" in piece and "\n" in end.group()
        if not in_dollars and piece.rfind("\\[") <= piece.rfind("\\]"):
            sentences.append(piece.strip())
            begin = end.end()
    for sentence in reversed(sentences):
        refuse(words_of(sentence))
        if re.search(r"\d|\$|\\[(\[]", sentence):
            if "?" in sentence:
                raise Refused("a question")
            return _statement(without_place(sentence))
    raise Unread("no number")


def _statement(sentence: str) -> str:
    """The last number or formula of a sentence that it states, with the words after it."""
    bold = _BOLD.findall(sentence)
    sentence = unmarked(sentence)
    # stretches of formulas, numbers, signs and the words that join them, one number at least
    runs = []
    for match in _RUN.finditer(sentence):
        text = _TRAILING.sub("", match[0])
        formula = _FENCED.search(text) and not _LETTER.fullmatch(text)
        if formula or (re.search(r"\d", text) and not _ENUMERATOR.fullmatch(text)):
            runs.append((match.start(), match.start() + len(text)))
    # a number that the sentence alone has in bold, with no word that makes another one of it
    emphasised = len(bold) == len(runs) == 1 and _QUANTITY.match(bold[0]) is not None
    emphasised = emphasised and not may_change(sentence)
    for place in range(len(runs) - 1, -1, -1):
        low, high = runs[place]
        value = _LEADING.sub("", sentence[low:high])
        signs = sentence[low : high - len(value)]
        before = sentence[runs[place - 1][1] if place else 0 : low]
        result = "=" in sentence[low:high] or ":" in signs
        if not result and (
            place < len(runs) - 1 or not states_a_number(before, emphasised=emphasised)
        ):
            continue
        if not _FENCED.search(value):
            value = value.rpartition("=")[2].strip() or value
        end = runs[place + 1][0] if place < len(runs) - 1 else len(sentence)
        return (closing_math(value) or value) + _label(
            sentence[high:end], more=end < len(sentence), money="$" in value
        )
    raise Unread("no number is stated")


def _label(after: str, *, more: bool, money: bool) -> str:
    """The words after a number that name what it counts, or all of them up to a comma.

    more: another number follows
    """
    clause_after = re.split(r"[,;:(?]", after)[0]
    more = more and clause_after == after
    words = words_of(clause_after)
    size = label_size(words)
    following = words_of(after)[size : size + 1]
    if size and following == ["per"]:  # `60 miles per hour`
        size = min(size + 2, len(words))
    if following and has(following[0], "divides"):
        raise Refused(f"{following[0]!r} after a number")
    if more and size == len(words):
        raise Unread("another number follows")
    if money and not (words and has(words[0], "numbers")):
        return ""
    if not size:
        return clause_after.rstrip(" .!\"'")
    named = list(WORD.finditer(clause_after))[size - 1]
    return clause_after[: named.end()]
