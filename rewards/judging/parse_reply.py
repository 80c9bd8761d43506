"""A judging model's answer, read strictly: anything else than what was asked for is unreadable.

An answer is the last thing in a reply, as JSON or, for a single value, in a tag such as
`<score>7</score>`. A value of the wrong type, off the scale or not on the list is never guessed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from rewards.http.chat import Reply, Token
from rewards.types import JSON

_REASON_CHARS = 300  # that are kept
_FENCED = re.compile(  # a code block that ends the reply
    r"(?P<marks>(?<!`)`{3,}+|(?<!~)~{3,}+)(?:[\w+.-]*\s)?(?P<body>.*?)\s*(?P=marks)\s*\Z",
    re.DOTALL,
)
_TAGGED = re.compile(r"<(?P<name>\w+)>\s*(?P<value>[^<>]{1,40}?)\s*</(?P=name)>\s*\Z")
_VERDICT = re.compile(r"verdict\s*:\s*[*_`]*(?P<word>yes|no)[*_`.]*\s*\Z", re.IGNORECASE)


class Unreadable(ValueError):
    """The answer is not what was asked for; says how."""


def score(reply: Reply, low: int, high: int) -> float:
    """The number under "score", between `low` and `high`."""
    value = _answer(reply, "score")
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        value = float(value)  # a tag holds text
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"the score is {value!r:.60}, not a number")
    if not low <= value <= high:
        raise Unreadable(f"the score {value:g} is not between {low} and {high}")
    return float(value)


def better(reply: Reply) -> str:
    """ "A", "B" or "tie", under "better"."""
    return _one_of(_answer(reply, "better"), ("A", "B", "tie"), "better")


def yes_or_no(reply: Reply, names: Sequence[str]) -> dict[str, bool]:
    """Whether the word under each name is yes."""
    answers = _answers(reply)
    missing = [name for name in names if name not in answers]
    if missing:
        raise Unreadable(f"no answer to {', '.join(missing)}")
    return {name: _one_of(answers[name], ("yes", "no"), name) == "yes" for name in names}


def reason(reply: Reply) -> str:
    """The words under "reason", which may be missing."""
    try:
        words = _answers(reply).get("reason")
    except Unreadable:
        return ""
    return " ".join(words.split())[:_REASON_CHARS] if isinstance(words, str) else ""


def verdict(reply: Reply) -> tuple[float, bool]:
    """The probability of "Verdict: yes" in the last line; and whether log-probs tell it.

    With log-probs it is p(yes) / (p(yes) + p(no)) at the token where the word begins, over the
    alternatives that begin either word; without them it is 1 or 0, by the word that was drawn.
    """
    if reply.finish == "length":
        raise Unreadable("the answer was cut off at max_tokens")
    found = _VERDICT.search(reply.text)
    if found is None:
        raise Unreadable(f"no verdict in the last line: {_end(reply.text)}")
    token = _where_word_begins(reply.tail, found["word"])
    if token is None:
        return float(found["word"].lower() == "yes"), False
    mass = {"yes": 0.0, "no": 0.0}
    for text, logprob in token.alternatives.items():
        begun = text.strip().lower()
        for word in mass:
            if begun and word.startswith(begun):
                mass[word] += math.exp(logprob)
    whole = mass["yes"] + mass["no"]
    return (mass["yes"] / whole, True) if whole else (float(found["word"].lower() == "yes"), False)


def _where_word_begins(tail: Sequence[Token], word: str) -> Token | None:
    """The token that holds the first letter of the last `word`; None without log-probs."""
    text = "".join(token.text for token in tail)
    place = text.rfind(word)
    if place < 0:
        return None
    for token in tail:
        place -= len(token.text)
        if place < 0:
            begun = token.text.strip().lower()
            return token if begun and word.lower().startswith(begun) else None
    return None


def _answer(reply: Reply, name: str) -> JSON:
    """The value under `name` in the answer's JSON, or in a tag of that name."""
    tag = _TAGGED.search(reply.text)
    if tag is not None and tag["name"] == name and reply.finish != "length":
        return tag["value"]
    answers = _answers(reply)
    if name not in answers:
        raise Unreadable(f"the answer has no '{name}': {_end(reply.text)}")
    return answers[name]


def _answers(reply: Reply) -> Mapping[str, JSON]:
    """The JSON object that ends the reply, or the code block at its end."""
    if reply.finish == "length":
        raise Unreadable("the answer was cut off at max_tokens")
    fenced = _FENCED.search(reply.text)
    text = fenced["body"] if fenced else reply.text.strip()
    for start in _openings(text):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except ValueError:
            continue
        if end == len(text) and isinstance(value, dict):
            return value
    raise Unreadable(f"the answer does not end in a JSON object: {_end(reply.text)}")


def _openings(text: str) -> Iterator[int]:
    """Places of `{`, the first of those that may belong to the last object first."""
    return (found.start() for found in re.finditer(r"\{", text))


def _refuse_repeated(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_repeated)


def _one_of(value: JSON, words: Sequence[str], name: str) -> str:
    for word in words:
        if isinstance(value, str) and value.strip().lower() == word.lower():
            return word
    raise Unreadable(f"'{name}' is {value!r:.60}, expected one of {', '.join(words)}")


def _end(text: str) -> str:
    """The last words of an answer, for a reason."""
    return repr(" ".join(text.split())[-80:]) if text.strip() else "the answer is empty"
