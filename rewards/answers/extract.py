r"""Find the final answer in a response: box, tags, mark, phrase, or the last thing said.

Pure text, one pass or bounded windows, so linear in the length of the response. The places are
tried in this order, and the first that is there decides, even when what it holds is empty:

    boxed    the last `\boxed{...}` (also `\fbox`, `\framebox`)
    tag      the last `<answer>...</answer>`
    mark     the last `#### ...` line
    phrase   the last "the answer is ...", "Answer: ..."
    whole    a response so short that it can only be the answer
    last     the last number or formula of the last sentence that has one

Text before `</think>` is left out when something follows it. A box that never closes was cut off
and is no answer. In the last two places a sentence that hedges, negates or asks gives no answer.
"""

import re
from dataclasses import dataclass
from typing import Literal

from rewards.answers.last_sentence import (
    clause,
    closing_math,
    hedges,
    last_said,
    unmarked,
    without_place,
)

Place = Literal["boxed", "tag", "mark", "phrase", "whole", "last"]
PLACES: tuple[Place, ...] = ("boxed", "tag", "mark", "phrase", "whole", "last")
Where = Literal["anywhere", "stated", "boxed", "tag", "mark", "whole"]
"""Option of verifiers: `stated` is a box, tags, the mark or a phrase; the rest names one place."""

_BOX = re.compile(r"(?:(?<!\\)\\+(?:boxed|fbox|framebox)|\x08oxed|\x0cbox)(?![A-Za-z])")
_INNER = re.compile(r"[\s$]*" + _BOX.pattern + r"\s*\{")
_BARE = re.compile(r"\s*([^\s{])")
_PERCENT = re.compile(r"\s*\$?\s*\\?%")
_BRACE = re.compile(r"\\\\|\\[{}]|[{}]")
_TAG = re.compile(r"<answer>|</answer>", re.IGNORECASE)
_MARK = re.compile(r"####[ \t]*([^\n]*)")
_MARKED = re.compile(r"[\s$\\*({\[+-]*[\d.]|[\s*]*[$\\(\[{]|\s*-?[A-Za-z]\b")
_PHRASE = re.compile(
    r"(?<!\bto )\b(?:answers?|ans|(?:correct|right|best|final|my) (?:option|choice|result))\b"
    r"(?:(?P<middle>(?:,[^\n.:=?!,]{1,20},)?[^\n.:=?!,]{0,60}?)\s(?:is|are|was|equals|be)\b[*_\s]*[:=]?"
    r"|(?: \(?(?:to|for|of|in)\b[^\n.:=?!,]{0,60}?)?[*_\s)]*[:=])[*_\s]*",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ \t#*_]*(?:final[ \t]+)?answer[ \t#*_:]*$", re.IGNORECASE | re.MULTILINE)
_IS_ANSWER = re.compile(
    r"\bis (?:therefore |thus |then )?(?:the|our|my) (?:final |correct |right )?answer\b",
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
_BOUND = re.compile(
    r"(?:at least|at most|less than|more than|greater than|fewer than|up to|over|under|below|above)"
    r"\b",
    re.IGNORECASE,
)
_RIGHT_OPTION = re.compile(
    r"\b(?i:option|choice) \(?(?P<letter>[A-J])\)? is (?:the )?(?:correct|right|best|answer)"
)
_CLAIMED = re.compile(
    r"\b(?:claim\w*|tempt\w*|think|thinks|thought|believe\w*|expect\w*|mistaken\w*|wrong\w*"
    r"|incorrect\w*|if|suppose|assume|assuming)\b[^.!?\n]*$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:n't|n\u2019t|\bnot|\bnever)\s+(?:think|believe|say|claim|mean|agree)\b"
    r"|(?<!no )\bdoubt\b|\bdeny\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:expected|reference|gold|golden|ground[- ]truth|official|labell?ed|target) answer\b",
    re.IGNORECASE,
)
_BUT = re.compile(r"\s*,?\s*\b(?:but|however|although)\b[^.!?\n]*\d")
_ANOTHER = re.compile(
    r"[\s.,;!?]*(?:\b(?:or|alternatively|otherwise|maybe|perhaps|possibly|actually|wait|no)\b"
    r"[^!?\n]*?|(?<=;)\s*)(?P<number>\d[\d.,]*)(?!.*\d)",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\s*\?|\s*[.;]\s*(?:or|alternatively)\b(?!,? (?:in|simply|equivalently))|\s*[.;,!]\s*no[,.!]",
    re.IGNORECASE,
)
_NOT_THIS = re.compile(
    r"(?:\b(?:not|never|cannot)|n't|n\u2019t)(?: (?:be|equal|equal to|in fact))?[\s$:*(\[\\]*$",
    re.IGNORECASE,
)
_IS_WRONG = re.compile(
    r"[\s$*)\]\\]*(?:is|was|would be) (?:n't |not |wrong|incorrect|false|a mistake)", re.IGNORECASE
)
_EITHER = re.compile(r"[\s$*,()\[\]\\]*or[\s$*,()\[\]\\]*", re.IGNORECASE)
_GIVEN = re.compile(
    r"(?:when|for|with|at|since|as|because|given|after|if) [^,.;\n]{1,60}, (?:then )?(?=\D)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:so|thus|hence|therefore|then|finally|now|in conclusion|in total),?\s+", re.IGNORECASE
)
_SHORT = 300  # characters of a response that may be nothing but an answer
_MOST = 20_000  # characters of an answer; a longer one is cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Where the final answer was found, and the texts it may be, the most literal first.

    More than one candidate: the clause after a phrase, then the last number or formula in it.
    """

    place: Place | Literal["none"] = "none"
    candidates: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        return self.candidates[0] if self.candidates else ""


def extract(text: str, places: tuple[Place, ...] = PLACES) -> Extraction:
    """The final answer of `text`, looked for in `places` only."""
    text = after_reasoning(text)
    for place in PLACES:
        if place in places:
            found = _FINDERS[place](text)
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
    """What follows the last `</think>`; all of it when nothing does."""
    _, closing, tail = text.rpartition("</think>")
    return tail if closing and tail.strip() else text


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
    before, after = text[max(0, start - 40) : start], text[end : end + 40]
    if _NOT_THIS.search(before) or _IS_WRONG.match(after):
        return ()
    previous = _last_box(text[:start])
    if previous is not None and _EITHER.fullmatch(text, previous[2], start):
        return ()
    percent = content and "%" not in content and _PERCENT.match(text, end)
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
    if rest.strip() and not _MARKED.match(rest) and text[lines[-1].end() :].strip():
        return None  # a heading, with the answer somewhere below
    return (unmarked(rest),)


def _phrase(text: str) -> tuple[str, ...] | None:
    found = [(m.end(), m.group("middle") or "") for m in _PHRASE.finditer(text)]
    found += [(m.end(), "") for m in _HEADING.finditer(text)]
    before = [m.start() for m in _IS_ANSWER.finditer(text)]
    end, middle = max(found, default=(-1, ""))
    option = list(_RIGHT_OPTION.finditer(text))
    if option and option[-1].end() >= end:
        return (option[-1]["letter"],)
    if before and before[-1] > end:
        sentence = clause(text[: before[-1]], backwards=True)
        return () if hedges(sentence) else last_said(sentence)
    if end < 0:
        return None
    rest = clause(text[end : end + _MOST])
    if hedges(middle) or _disowned(text, end):
        return ()
    if not rest or hedges(rest) or _BOUND.match(rest):
        return (rest,) if rest else ()
    if re.search(r"\d|\$|\\", rest):
        return (rest, *last_said(rest))
    return (rest, *last_said(text[end:]))


def _disowned(text: str, end: int) -> bool:
    """Whether the sentence around a phrase that ends at `end` takes the answer back."""
    start = max(text.rfind(mark, 0, end - 1) for mark in ("\n", ". ", "! ", "? "))
    before = text[max(0, start, end - 300) : end]
    if _OTHERS.search(before):
        return True
    if _DENIED.search(before):
        return True
    claim = _CLAIMED.search(before)
    if claim is not None and not re.search(r"\bI (?:think|believe)\b", before):
        tail = re.split(r"[.!?\n]", text[end : end + 300])[0]
        return "but" in tail or "wrong" in claim.group().lower()
    rest = text[end : end + 300].lstrip()
    said = clause(rest)
    after = rest[len(said) :].split("\n")[0]
    another = _ANOTHER.match(after)
    if another is not None and another["number"].rstrip(".,") not in said:
        return True
    return bool(_BUT.match(after) or _TAKEN_BACK.match(after)) if rest else False


def _whole(text: str) -> tuple[str, ...] | None:
    plain = unmarked(text.strip())
    if not plain or "\n\n" in plain or (len(plain) > _SHORT and len(text.split()) > 1):
        return None
    if _YES_NO.match(plain):
        return (plain,)
    plain = without_place(_OPENING.sub("", _CONNECTIVE.split(plain)[-1], count=1))
    plain = _GIVEN.sub("", plain, count=1) if _GIVEN.match(plain) else plain
    math = closing_math(plain)
    said = () if hedges(plain) else last_said(plain)
    return (*said, plain) if _NEXT_SENTENCE.search(plain) else (math or plain, *said)


def _last(text: str) -> tuple[str, ...] | None:
    return last_said(text) or None


_FINDERS = {
    "boxed": _boxed,
    "tag": _tag,
    "mark": _mark,
    "phrase": _phrase,
    "whole": _whole,
    "last": _last,
}
