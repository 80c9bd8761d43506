r"""Periodic decimals: `0.1\overline{6}`, `0.\dot{3}`, `0.(3)`, `0.1666...`, as exact fractions."""

import re
from fractions import Fraction

_PERIOD = re.compile(
    r"(?P<whole>\d*)\.(?P<fixed>\d*)(?:\\(?:overline|bar)\s*\{?\s*(?P<bar>\d+)\s*\}?"
    r"|\\dot\s*\{?(?P<first>\d)\}?(?P<inner>\d*)(?:\\dot\s*\{?(?P<last>\d)\}?)?"
    r"|\((?P<brackets>\d+)\)(?![\d!^]))"
)
_ELLIPSIS = re.compile(r"(?P<whole>\d*)\.(?P<digits>\d{3,})\s*(?:\.\.\.|\\(?:l|c)?dots)")


def periodic(text: str, place: int) -> tuple[Fraction, int] | None:
    """Value and length of the periodic decimal at `place`; None when there is none."""
    match = _PERIOD.match(text, place)
    if match is not None and (match["first"] is None or match["last"] or not match["inner"]):
        period = match["bar"] or match["brackets"]
        if match["first"] is not None:
            period = match["first"] + (match["inner"] + match["last"] if match["last"] else "")
        return _repeating(match["whole"], match["fixed"], period), len(match.group())
    match = _ELLIPSIS.match(text, place)
    if match is None:
        return None
    # `0.1666...`: the shortest block that the digits end on at least twice (thrice if one)
    digits = match["digits"]
    for size in range(1, len(digits) // 2 + 1):
        block, times = digits[-size:], 3 if size == 1 else 2
        if digits.endswith(block * times):
            fixed = digits
            while fixed.endswith(block):
                fixed = fixed[: len(fixed) - size]
            return _repeating(match["whole"], fixed, block), len(match.group())
    return None


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    shift = 10 ** len(fixed)
    tail = Fraction(int(period), (10 ** len(period) - 1) * shift)
    return Fraction(int(whole or 0)) + Fraction(int(fixed or 0), shift) + tail
