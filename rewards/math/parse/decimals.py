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
    for pattern, build in ((_PERIOD, _periodic), (_ELLIPSIS, _continued)):
        match = pattern.match(text, place)
        if match is not None and (value := build(match)) is not None:
            return value, len(match.group())
    return None


def _periodic(match: re.Match[str]) -> Fraction | None:
    whole, fixed = match["whole"] or "0", match["fixed"]
    if match["first"] is not None:
        period = match["first"] + (match["inner"] + match["last"] if match["last"] else "")
        if match["inner"] and not match["last"]:
            return None
    else:
        period = match["bar"] or match["brackets"]
    return _repeating(whole, fixed, period)


def _continued(match: re.Match[str]) -> Fraction | None:
    """`0.1666...`: the shortest block that the digits end on at least twice (thrice if one)."""
    whole, digits = match["whole"] or "0", match["digits"]
    for size in range(1, len(digits) // 2 + 1):
        block, times = digits[-size:], 3 if size == 1 else 2
        if digits.endswith(block * times):
            fixed = digits
            while fixed.endswith(block):
                fixed = fixed[: len(fixed) - size]
            return _repeating(whole, fixed, block)
    return None


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    shift = 10 ** len(fixed)
    tail = Fraction(int(period), (10 ** len(period) - 1) * shift)
    return Fraction(int(whole)) + Fraction(int(fixed or 0), shift) + tail
