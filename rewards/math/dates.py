"""Days of the year: `June 20`, `20th of June`, `Jan. 5, 2021`, told apart by their month too.

A word before a number is otherwise an introduction (`Area 20`), so the reader sees 20 in `June 20`.
"""

import re

from rewards.answers.normalize import unstyled

_MONTHS = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = r"(\d{1,2})(?:st|[nr]d|th)?"
_YEAR = r"(?:,? (\d{4}))?"
_MONTH_FIRST = re.compile(rf"{_MONTHS} {_DAY}{_YEAR}")
_DAY_FIRST = re.compile(rf"{_DAY} (?:of )?{_MONTHS}{_YEAR}")
_MARKUP = re.compile(r"\\(?:text[a-z]*|mathrm|mbox)(?![a-zA-Z])|[{}$^~]")


def differ(gold: str, answer: str) -> bool:
    """Whether `gold` is a date and `answer` another one, or names a month that is not the gold's.

    False where either is no date: a bare day is then judged as the number it is.
    """
    wanted, given = _date(gold), _date(answer)
    if wanted is None:
        return False
    if given is None:
        return bool({name[:3] for name in re.findall(_MONTHS, _text(answer))} - {wanted[0]})
    years = {wanted[2], given[2]} - {""}
    return wanted[:2] != given[:2] or len(years) > 1


def _date(text: str) -> tuple[str, int, str] | None:
    """Month by its first three letters, day, and year or nothing."""
    text = _text(text)
    if found := _MONTH_FIRST.fullmatch(text):
        month, day, year = found.groups("")
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups("")
    else:
        return None
    return month[:3], int(day), year


def _text(text: str) -> str:
    return " ".join(_MARKUP.sub(" ", unstyled(text)).split()).strip(" .").replace(" ,", ",")
