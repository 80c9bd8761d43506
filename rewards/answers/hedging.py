"""Words beside an answer that deny it, leave a choice, or make another number of it."""

import re

from rewards.answers.words import word_set

NEGATIONS = word_set("not neither nor cannot never isn't aren't")
VAGUE = word_set(
    "one-of among between least most maybe perhaps possibly either whatever something "
    "anything wrong incorrect guess some any might may could can than less more greater fewer "
    "under over below above up page grader reward false untrue nearly almost except doubt deny"
)
CHANGING = word_set(
    "twice double triple half third quarter square cube root reciprocal inverse opposite"
)
AFTER = word_set(
    "or not either neither nor maybe perhaps possibly but wrong incorrect else other others "
    "any between least most over under approximately if unless without minus plus divided and "
    "squared cubed factorial false untrue half"
)
_COUNTING = word_set("no dozen hundred thousand million billion trillion")
_WORD = re.compile(r"[A-Za-z]+(?:['\u2019-][A-Za-z]+)*")

ONE_OF = re.compile(r"\b(?:one|any|some|all) of\b", re.IGNORECASE)


def unsettled(before: str, after: str) -> bool:
    """Whether the words before or after a number leave it open that it is the answer."""
    words = {word.lower().replace("\u2019", "'") for word in _WORD.findall(before)}
    if ONE_OF.search(before) or words & (NEGATIONS | VAGUE | CHANGING | _COUNTING):
        return True
    return bool({word.lower() for word in _WORD.findall(after)} & (AFTER | _COUNTING))
