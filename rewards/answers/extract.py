r"""Find the final answer in a response: box, tags, mark, phrase, or the last thing stated.

Pure text, one pass or bounded windows, so linear in the length of the response. The places are
tried in this order, and the first that is there decides, even when what it holds is empty:

    boxed    the last `\boxed{...}` (also `\fbox`, `\framebox`)
    tag      the last `<answer>...</answer>`
    mark     the last `#### ...` line
    phrase   the last "the answer is ...", "Answer: ..."
    whole    a response so short that it can only be the answer
    last     the last number or formula that the last sentence with one states

Text before `</think>` is left out when something follows it, and so is what is struck out. A box
or a thought that never closes was cut off and is no answer. What the words around an answer mean is
decided by `rewards.answers.wording`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rewards.answers.wording.number_words import FACTORS
from rewards.answers.wording.roles import (
    Refused,
    Unread,
    check_introduction,
    has,
    refuse,
    refuse_retraction,
    words_of,
)
from rewards.answers.wording.sentences import clause, closing_math, stated, unmarked, without_place

Place = Literal["boxed", "tag", "mark", "phrase", "whole", "last"]
PLACES: tuple[Place, ...] = ("boxed", "tag", "mark", "phrase", "whole", "last")
Where = Literal["anywhere", "stated", "boxed", "tag", "mark", "whole"]
"""Option of verifiers: `stated` is a box, tags, the mark or a phrase; the rest names one place."""

_BOX = re.compile(
    r"(?:(?<!\\)\\+(?:[Bb]oxed|fbox|framebox)|\x08oxed|\x0cbox|(?<![\\A-Za-z])boxed(?=\s*\{))(?![A-Za-z])"
)
_INNER = re.compile(r"[\s$]*" + _BOX.pattern + r"\s*\{")
_BARE = re.compile(r"\s*([^\s{])")
_BRACE = re.compile(r"\\\\|\\[{}]|[{}]")
_OPERAND = re.compile(
    r"(?:(?<!answer)[<>]|\S\s*[-+/]|[-+/](?=\$?$)|[\d^]|\\(?:cdot|times|div|pm|sqrt|frac|lnot|not|neg?|neq|[lg]eq?|[lg]t)\{?)\s*\$?$"
)
_OPERATES = re.compile(
    r"\s*(?:[+/^<>](?!/|\s*\{?\\?circ)|\\(?:cdot|times|div|pm|sqrt|frac|neq?|[lg]eq?|[lg]t)\b"
    r"|[a-z\d]\s*\$|!\s*\$|[)\]|]+\s*(?:\^|[-+*/]\s*\d)"
    r"|\$?\s*(?:times|more than|less than)\s+\$?[\d\\])"
)
_ARGUMENT_OF = re.compile(
    r"\\(?:[dtc]?frac|[dt]?binom|sqrt|root|(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|lg|exp|gcd|lcm"
    r"|det|max|min|operatorname|vec|hat|bar|overline|tilde)(?![A-Za-z])\*?(?:_\w|_?\s*\{[^{}]*\}|\s*\[[^\]]*\])*"
    r"\s*(?:\\left)?[({]\s*$"
)
_TAG = re.compile(r"<answer>|</answer>", re.IGNORECASE)
_MARK = re.compile(r"####[ \t]*([^\n]*)")
_MARKED = re.compile(r"[\s$\\*({\[+-]*[\d.]|[\s*]*[$\\(\[{]|\s*-?[A-Za-z]\b")
_PHRASE = re.compile(
    r"(?<!\bto )\b(?:answers?|ans|(?:correct|right|best|final|my) (?:option|choice|result))\b"
    r"(?:(?P<middle>(?:,[^\n.:=?!,]{1,20},)?[^\n.:=?!,]{0,60}?)\s(?:is|are|was|equals|be)\b[*_\s]*[:=]?"
    r"|(?: \(?(?:to|for|of|in)\b[^\n.:=?!,]{0,60}?)?[*_\s)]*[:=])[*_\s]*"
    r"|^[ \t#*_]*(?:final[ \t]+)?answer[ \t#*_:]*$",
    re.IGNORECASE | re.MULTILINE,
)
_PHRASE_ABROAD = re.compile(
    r"(?:\b(?:respuesta|resposta|antwort|r\u00e9ponse|risposta|\u043e\u0442\u0432\u0435\u0442)"
    r"(?: final\w*)?(?:\s(?:es|\u00e9|ist|lautet|est|\u00e8)\b|(?=[*_\s]*:))"
    r"|\u7b54\u6848[\u662f\u4e3a\u70ba]?)[*_\s]*[:\uff1a]?[*_\s]*",
    re.IGNORECASE,
)
_IS_ANSWER = re.compile(
    r"\bis (?:therefore |thus |then )?(?:the|our|my) (?:final |correct |right )?answer\b",
    re.IGNORECASE,
)
_RIGHT_OPTION = re.compile(
    r"\b(?i:option|choice) \(?(?P<letter>[A-J])\)? is (?:the )?(?:correct|right|best|answer)"
)
_CLAUSE_START = re.compile(
    r"[.!?;:\n\u2014\u2013]|,(?!\s+(?:that|which|who)\b)|\b(?:but|because|since|so)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"(?:\\text\w*\s*\{)?\s*(yes|no|true|false)\s*[,;.:]\s+(?!(?:yes|no|true|false)\b)[a-z]",
    re.IGNORECASE,
)
_CONNECTIVE = re.compile(
    r"[,;.]\s+(?:so|thus|hence|therefore|then|i\.e\.,?|that is,?"
    r"|which (?:simplifies|reduces) to)(?!\w)",
    re.IGNORECASE,
)
_NEXT_SENTENCE = re.compile(r"[a-z\d][.!?]\s+[A-Z][a-z]")
_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_STRUCK_OUT = re.compile(
    r"(?<![\w}])~~(?=\S)[^~\n]+(?<=\S)~~|\\(?:[bx]?cancel|sout|st)\s*\{[^{}]*\}"
)
_SHORT = 300  # characters of a response that may be nothing but an answer
_MOST = 20_000  # characters of an answer; a longer one is cut
_BESIDE = 80  # characters on each side of a box


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Where the final answer was found, and the texts it may be, the most literal first.

    More than one candidate: the clause after a phrase, then what that clause states. None: `reason`
    says what was wrong with the words around it.
    """

    place: Place | Literal["none"] = "none"
    candidates: tuple[str, ...] = ()
    reason: str = ""

    @property
    def answer(self) -> str:
        return self.candidates[0] if self.candidates else ""


def extract(text: str, places: tuple[Place, ...] = PLACES) -> Extraction:
    """The final answer of `text`, looked for in `places` only."""
    text = _STRUCK_OUT.sub(" ", after_reasoning(text))
    for place in PLACES:
        if place not in places:
            continue
        try:
            found = _FINDERS[place](text)
        except (Refused, Unread) as error:
            return Extraction(place=place, reason=str(error))
        if found is not None:
            if found and (verdict := _YES_NO.match(found[0])) is not None:
                found = (verdict[1],)
            kept = tuple(dict.fromkeys(c.strip()[:_MOST] for c in found if c.strip()))
            return Extraction(place=place, candidates=kept)
    return Extraction()


def places_of(where: Where) -> tuple[Place, ...]:
    """The places that an option `where` allows."""
    if where == "anywhere":
        return PLACES
    return PLACES[:4] if where == "stated" else (where,)


def final_answer(response: str, where: Where, marker: str) -> Extraction:
    """What follows the last `marker` when one is given, else the answer from `where`."""
    if not marker:
        return extract(response, places_of(where))
    found = after_marker(response, marker)
    return Extraction(place="mark", candidates=(found,) if found else ())


def after_reasoning(text: str) -> str:
    """What follows the last `</think>`; all of it when nothing does.

    A thought that never closes was cut off: what it holds is not an answer.
    """
    cut_off = text.find("<think>", text.rfind("</think>") + 1)
    before, closing, tail = text[: cut_off if cut_off >= 0 else None].rpartition("</think>")
    return tail if closing and tail.strip() else before.replace("<think>", "") or tail


def after_marker(text: str, marker: str) -> str:
    """The rest of the line after the last `marker`; empty when there is none."""
    _, found, tail = text.rpartition(marker)
    return tail.strip().split("\n", 1)[0].strip() if found else ""


def last_boxed(text: str) -> str | None:
    r"""Content of the last box; None without any box; empty when it is empty or never closed.

    A box inside a box belongs to the outer one, unless it is all that the outer one holds.
    """
    box = _last_box(text)
    return None if box is None else box[0]


def _last_box(text: str) -> tuple[str, int, int] | None:
    """Content of the last box, where it starts, and where it ends."""
    starts = list(_BOX.finditer(text))
    if not starts:
        return None
    last = starts[-1]
    bare = _BARE.match(text, last.end())
    if bare is not None:
        return ("" if bare.group(1) == "}" else bare.group(1)), last.start(), bare.end()
    closes = _matching_braces(text)
    for start in starts:
        opening = text.find("{", start.end())
        closing = closes.get(opening, -1)
        if closing > last.end():  # the outermost box that holds the last one, or that one itself
            return _unboxed(text[opening + 1 : closing]), start.start(), closing + 1
    return "", last.start(), len(text)


def _unboxed(content: str) -> str:
    """Strip boxes and braces that hold all of the content."""
    closes = _matching_braces(content)
    low, high = 0, len(content)
    while (inner := _INNER.match(content, low)) is not None and inner.end() <= high:
        closing = closes.get(inner.end() - 1, -1)
        if closing < 0 or content[closing + 1 : high].strip(" $\n\t"):
            break
        low, high = inner.end(), closing
    while content[low:high].startswith("{") and closes.get(low) == high - 1:
        low, high = low + 1, high - 1
    return content[low:high].strip()


def _matching_braces(text: str) -> dict[int, int]:
    """Position of each unescaped `{` that is closed -> position of its `}`."""
    closes: dict[int, int] = {}
    stack: list[int] = []
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            stack.append(match.start())
        elif match.group() == "}" and stack:
            closes[stack.pop()] = match.start()
    return closes


def _boxed(text: str) -> tuple[str, ...] | None:
    box = _last_box(text)
    if box is None:
        return None
    content, start, end = box
    before = text[max(0, start - _BESIDE) : start]
    after = re.split(r"\.(?!\d)|[;\n]", text[end : end + _BESIDE])[0]
    if _ARGUMENT_OF.search(before) or _OPERAND.search(before) or _OPERATES.match(after):
        raise Unread("the box is a part of a formula")
    if text[end:].lstrip(" \n$.*").startswith("?"):
        raise Refused("a question")
    said = words_of(_COMMAND.sub(" ", re.split(r"[.!?;:,=\n]", before)[-1]))
    said = [word for word in said if word not in ("at-least", "at-most")]
    refuse(said[-1:], "computes")
    refuse(said[-3:], "hedges")
    if said[-1:] == ["no"] or said[-2:] == ["no", "es"]:
        raise Refused("'no' before the box")
    if said[-1:] == ["than"] or (said[-1:] == ["of"] and not has("".join(said[-2:-1]), "measures")):
        raise Unread(f"{' '.join(said[-2:])!r} before the box")
    following = words_of(_COMMAND.sub(" ", after.lstrip(" $,").split(",")[0]))
    if not after.lstrip(" $").startswith(","):  # `\boxed{8}, not 9` is a contrast
        refuse(following[:1], "computes")
    if following and has(following[0], "states"):
        refuse(following[1:4])
    refuse_retraction(text[end : end + _SHORT], content)
    previous = _last_box(text[:start])
    between = _COMMAND.sub(" ", text[previous[2] : start]) if previous else ""
    if previous and words_of(between) == ["or"]:
        return (f"{previous[0]} or {content}",)
    if previous and not any(map(str.isalnum, between)):
        refuse(
            words_of(text[max(0, previous[1] - _BESIDE) : previous[1]])[-1:]
        )  # `Either [6], [7]`
    if following[:2] == ["or", "equivalently"]:
        following = []
    if following and (following[0] == "or" or following[0] in FACTORS):
        return (content + after.replace("$", " "),)
    percent = content and "%" not in content and after.lstrip(" $\\").startswith("%")
    return (content + r"\%" if percent else content,)


def _tag(text: str) -> tuple[str, ...] | None:
    tags = list(_TAG.finditer(text))
    opens = [tag for tag in tags if tag.group()[1] != "/"]
    if not opens:
        return None
    close = next((tag for tag in tags if tag.start() > opens[-1].start()), None)
    return (unmarked(text[opens[-1].end() : close.start() if close else len(text)]),)


def _mark(text: str) -> tuple[str, ...] | None:
    lines = list(_MARK.finditer(text))
    if not lines:
        return None
    rest = lines[-1].group(1)
    refuse_retraction("\n" + text[lines[-1].end() :][:_SHORT], rest)
    if rest.strip() and not _MARKED.match(rest) and text[lines[-1].end() :].strip():
        return None  # a heading, with the answer somewhere below
    return (unmarked(rest),)


def _phrase(text: str) -> tuple[str, ...] | None:
    found = (match for pattern in (_PHRASE, _PHRASE_ABROAD) for match in pattern.finditer(text))
    phrase = max(found, key=lambda match: match.end(), default=None)
    end = phrase.end() if phrase else -1
    option = max(_RIGHT_OPTION.finditer(text), key=lambda match: match.end(), default=None)
    if option is not None and option.end() >= end:
        return (option["letter"],)
    before = max((match.start() for match in _IS_ANSWER.finditer(text)), default=-1)
    if before > end:
        return (stated(text[:before]),)
    if phrase is None:
        return None
    if phrase.re is _PHRASE:
        lead = _CLAUSE_START.split(text[max(0, phrase.start() - _SHORT) : phrase.start()])[-1]
        check_introduction(f"{lead} answer {phrase['middle'] or ''}", adjacent=False)
    rest = clause(text[end : end + _MOST])
    if not rest:
        return ()
    # refused where the next words put the answer in doubt or replace it: `5. Or 6.`
    after = text[end : end + _MOST].partition(rest)[2].partition("\n")[0]
    words, numbers = words_of(after), _NUMBER.findall(after)
    other = bool(numbers) and numbers[-1] not in rest
    again = bool(words) and words[0] != "not" and has(words[0], "denies", "divides")
    if after[:1] == "?" or (again and (other or words[0] in ("no", "wait", "or"))):
        raise Refused(f"{after[:40]!r} takes the answer back")
    if other and re.match(r"\s*;\s*\d", after):
        raise Refused(f"{after[:40]!r} gives another answer")
    return (rest, *_stated(rest if re.search(r"\d|\$|\\", rest) else text[end:]))


def _stated(text: str) -> tuple[str, ...]:
    try:
        return (stated(text),)
    except (Refused, Unread):
        return ()


def _whole(text: str) -> tuple[str, ...] | None:
    plain = unmarked(text.strip())
    if not plain or "\n\n" in plain or (len(plain) > _SHORT and len(text.split()) > 1):
        return None
    if _YES_NO.match(plain):
        return (plain,)
    if _NEXT_SENTENCE.search(plain):
        return (*_stated(text.strip()), plain)
    if "\n" in plain and not closing_math(plain):
        return _stated(text.strip()) or (plain,)
    last = without_place(_CONNECTIVE.split(plain)[-1])
    emphasised = without_place(_CONNECTIVE.split(text.strip())[-1])
    return (closing_math(last) or last, *_stated(emphasised))


_FINDERS: dict[Place, Callable[[str], tuple[str, ...] | None]] = {
    "boxed": _boxed,
    "tag": _tag,
    "mark": _mark,
    "phrase": _phrase,
    "whole": _whole,
    "last": lambda text: _stated(text) or None,
}
