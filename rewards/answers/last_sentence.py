r"""Sentences of a response: where a clause ends, whether it hedges, what it says last."""

import re

_WINDOW = 4000  # characters at the end of a response that are searched for a last number
_HEDGE = re.compile(
    r"\b(?:not|cannot|never|neither|nor|either|unsure|unknown|wrong|incorrect|whatever|"
    r"one of|any of|some of|between|among|possibly|perhaps|guess(?:es|ing)?|candidates?|"
    r"might|could be|or so|(?<!no )doubt|deny|something else|anything)\b"
    r"|\bmaybe\b|\bmay be\b|n't\b|n\u2019t\b|\?",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:not sure|unsure|do not know|cannot|no idea|give up|that is wrong|is incorrect|"
    r"is wrong|mistake|no,? wait)\b|n't know|n\u2019t know|can't|can\u2019t",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"\n|(?:[;!?]|(?<!\.)\.)(?=\s|$|[\"')*\]])"
    r"|,\s+(?:not|since|because|which|so|as|where|but|and so|thus)\b"
    r"|\s+\(?(?:because|since)\b"
)
_OPENERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_MARKUP = re.compile(r"\*\*|__|`+|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)")
_TOKEN = re.compile(
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+|[A-Za-z]+(?:['\u2019][a-z]+)?|\\[A-Za-z]+|\S"
)
_PLACE = re.compile(
    r",?\s+(?:attained|achieved|reached|occurring|when|which occurs|obtained)\b[^.!?\n]*$",
    re.IGNORECASE,
)
_COLUMN = re.compile(
    r"(?:^|\n)(?:\s*[$(]?-?\d[\d.,]*[$).]*\s*(?:\n|$)){3}\Z"
)  # candidates, a line each
_REFERENCES = {"page", "chapter", "section", "problem", "question", "step", "figure", "table"}
_JOINING = {"and", "or", "x", "sqrt", "pi", "sin", "cos", "tan", "log", "ln", "to"}
_GLUE = set("+-*/^=(),.%$\u20ac\u00a3\u00b0\u2212\u00d7\u00f7\u00b7\u221a\u03c0:!<>\u2264\u2265")


def hedges(sentence: str) -> bool:
    """Whether the sentence negates, asks, or leaves a choice, so that it settles nothing."""
    return _HEDGE.search(sentence) is not None


def unmarked(text: str) -> str:
    """Without markdown emphasis and code marks."""
    return _MARKUP.sub("", text).strip()


def clause(text: str, *, backwards: bool = False) -> str:
    """The first clause of `text` (or its last), without markup; formulas are kept whole."""
    if backwards:
        tail = text[-_WINDOW:]
        cut = max((m.end() for m in _STOP.finditer(tail) if m.end() < len(tail)), default=0)
        return unmarked(tail[cut:])
    text = text[:_WINDOW].lstrip(" \t\r\n:*_`\"'")
    for opener, closer in _OPENERS:
        if text.startswith(opener):
            end = text.find(closer, len(opener))
            if end > 0:
                end += len(closer)
                return unmarked(text[:end] + _until_stop(text[end:]))
    return unmarked(_until_stop(text))


def without_place(sentence: str) -> str:
    """Without a closing ", attained at ...", "when ..."."""
    return _PLACE.sub("", sentence.rstrip(" .")) or sentence


def closing_math(text: str) -> str:
    """The text when it is one formula between math signs and nothing else; empty otherwise."""
    for opener, closer in _OPENERS:
        if text.startswith(opener) and text.endswith(closer) and len(text) > 2 * len(opener):
            inner = text[len(opener) : -len(closer)]
            return "" if opener in inner or closer in inner else inner
    return ""


def _until_stop(text: str) -> str:
    for match in _STOP.finditer(text):
        before = text[: match.start()]
        point = text[match.start()] == "."
        if point and re.search(r"(?:^|[\s\d])(?:[ap]\.?m|\(?[A-J]\)?|sq|approx)$", before, re.I):
            after = text[match.end() :].strip()
            if after and not re.match(r"[A-Z][a-z]", after):
                continue
            if before[-1] in "mM" and "." in before[-3:]:
                return before + "."  # of "p.m."
        if before.count("$") % 2 or before.count("(") > before.count(")"):
            continue
        return before
    return text


def last_said(text: str) -> tuple[str, ...]:
    """The last number or formula of the last sentence that has one, with the words after it.

    Empty when that sentence hedges, when a later one takes it back, or after a column of numbers.
    """
    if _COLUMN.search(text[-_WINDOW:].rstrip()):
        return ()
    for sentence in reversed(_sentences(text[-_WINDOW:])):
        if _REFUSAL.search(sentence):
            return ()
        if re.search(r"\d|\$|\\[(\[]", sentence):
            if hedges(sentence):
                return ()
            sentence = without_place(sentence)
            said = _last_formula(sentence) or _last_run(sentence)
            return (said,) if said else ()
    return ()


def _sentences(text: str) -> list[str]:
    sentences = []
    begin = 0
    for match in re.finditer(r"\n+|[.!?](?=\s|$)", text):
        piece = text[begin : match.end()]
        if piece.count("$") % 2 and "\n" in match.group() and "$$" in piece:
            continue
        if piece.rfind("\\[") > piece.rfind("\\]"):
            continue
        if piece.strip():
            sentences.append(piece.strip())
        begin = match.end()
    if text[begin:].strip():
        sentences.append(text[begin:].strip())
    return sentences


def _last_formula(sentence: str) -> str:
    """The last formula that is more than one letter, if no plain number follows it."""
    found = list(
        re.finditer(
            r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$([^$\n]+)\$(?!\d)", sentence, re.DOTALL
        )
    )
    telling = [m for m in found if not re.fullmatch(r"[\s$\\()\[\]]*[A-Za-z]?[\s$\\()\[\]]*", m[0])]
    if not telling:
        return ""
    last = telling[-1]
    tail = sentence[last.end() :]
    if re.search(r"\d", re.sub(r"\$[^$]*\$", "", tail)):
        return ""
    inside = next(group for group in last.groups() if group is not None)
    if "=" in inside and "\\begin" not in inside and not re.search(r"[<>]|\\[lg]eq?", inside):
        return inside + _words_after(tail)
    return inside + _words_after(tail)


def _last_run(sentence: str) -> str:
    """The last stretch of plain numbers and signs, with the words after it."""
    sentence = unmarked(sentence)
    tokens = list(_TOKEN.finditer(sentence))
    last = -1
    for place in range(len(tokens) - 1, -1, -1):
        if tokens[place].group()[-1].isdigit() and not _is_enumerator(tokens, place):
            last = place
            break
    if last < 0:
        return ""
    first = last
    while first > 0 and _joins(tokens[first - 1].group()):
        first -= 1
    run = sentence[tokens[first].start() : tokens[last].end()]
    if first and tokens[first - 1].group().lower() in _REFERENCES:
        return ""
    run = re.sub(r"^(?:[\s,.)=:*/]|and\b|or\b|to\b|x\b)+", "", run)
    before, equals, after = run.rpartition("=")
    return (after if equals else before or run).strip() + _words_after(
        sentence[tokens[last].end() :]
    )


def _is_enumerator(tokens: list[re.Match[str]], place: int) -> bool:
    """`3)` of a list: a closing bracket follows that was never opened."""
    following = tokens[place + 1].group() if place + 1 < len(tokens) else ""
    if following != ")":
        return False
    depth = 0
    for token in tokens[:place]:
        depth += {"(": 1, ")": -1}.get(token.group(), 0)
    return depth <= 0


def _joins(token: str) -> bool:
    return token in _GLUE or token[-1].isdigit() or token.lower() in _JOINING


def _words_after(tail: str) -> str:
    """Unit words and closing signs after a number, up to the end of the sentence."""
    match = re.match(r"[)\s]*(?:[%\u00b0!]|\\%|[A-Za-z\u20ac\u00a3/^23().\s-]*)", tail)
    words = match.group() if match else ""
    return words.rstrip(" .!") if "!" not in words[:1] else ""
