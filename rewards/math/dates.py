"""Days of the year: `June 20`, `20th of June`, `Jan. 5, 2021`, compared as days, not as numbers."""

import re

from rewards.answers.normalize import unstyled

_MONTHS = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = r"(\d{1,2})(?: ?(?:st|[nr]d|th))?"
_YEAR = r"(?:,? (\d{4}))?"
_MONTH_FIRST = re.compile(rf"{_MONTHS} {_DAY}{_YEAR}")
_DAY_FIRST = re.compile(rf"{_DAY}(?: (?:of )?{_MONTHS}{_YEAR})?")
_MARKUP = re.compile(r"\\(?:text[a-z]*|mathrm|mbox)(?![a-zA-Z])|[{}$^~]")


def same(gold: str, answer: str) -> bool | None:
    """Whether two texts are the same day; None where the gold answer is not a date with a month.

    The answer may leave out the month and the year, or add a year.
    """
    wanted, given = _date(gold), _date(answer)
    if wanted is None or not wanted[0]:
        return None
    if given is None:
        return False
    pairs = zip(wanted, given, strict=True)
    return wanted[1] == given[1] and all(
        ours == theirs for ours, theirs in pairs if ours and theirs
    )


def _date(text: str) -> tuple[str, str, str] | None:
    """Month by its first three letters, day, and year; month and year may be empty."""
    text = " ".join(_MARKUP.sub(" ", unstyled(text)).split()).strip(" .").replace(" ,", ",")
    if found := _MONTH_FIRST.fullmatch(text):
        month, day, year = found.groups("")
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups("")
    else:
        return None
    return month[:3], day, year
