r"""Bring numbers and LaTeX to one spelling. Pure text, no algebra.

Unicode is read by `rewards.answers.unicode_math`.

unstyled    without spacing, sizes, colours and fonts: `\left(\mathbf{2}\,\right)` -> `(2)`
number      the exact value of one written number: "1,234.5", "$3/4", "12.5%", "2 1/2"
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.answers.unicode_math import to_latex

_SPACES = re.compile(
    r"(?<!\\)\\!|\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|mathstrut|strut|"
    r"bf|it|sf|tt|sl|bfseries|blacksquare|square|qed|checkmark|tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|"
    r"huge|Huge)"
    r"(?![A-Za-z])|\\(?:hspace|vspace|phantom|hphantom|vphantom|label|tag)\*?\{[^{}]*\}"
)
_WIDE = re.compile(
    r"(?<!\\)\\(?:[,;:> ]|(?:quad|qquad|enspace|thinspace|medspace|nobreakspace)(?![A-Za-z]))|~"
)
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*(\.(?!\d))?")
_COLOUR = re.compile(r"\\(?:textcolor|color|colorbox)\s*(?:\[[^\]]*\])?\{[^{}]*\}")
_FONT = re.compile(
    r"\\(?:mathbf|mathit|mathsf|mathtt|boldsymbol|bm|pmb|mathnormal|ensuremath|smash"
    r"|underline|emph|mathop)(?![A-Za-z])"
)
_GROUPED = re.compile(r"(?<=\d)(?:\{,\}|,\\!\s*|\{\\,\}|(?:\\[, ;:]|~)(?=\d{3}(?!\d)))(?=\d)")
_BRACED_SIGN = re.compile(r"(?<![\^_A-Za-z}\]])\{([:;=<>.])\}")
_SPACED_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)(?! *[/,])")


def unstyled(text: str) -> str:
    r"""Without spacing commands, sizes, colours and fonts; `10{,}000` and `10\,000` lose the gap.

    What changes the meaning stays: `\text`, `\mathrm`, `\mathbb`, accents.
    """
    text = _BRACED_SIGN.sub(r"\1", _GROUPED.sub("", text))
    text = _SPACES.sub(" ", text)
    text = _COLOUR.sub(" ", text)
    text = _FONT.sub(" ", text)
    text = _SIZES.sub("", text)
    text = _WIDE.sub(" ", text)
    return _SPACED_GROUPS.sub(lambda m: m[0].replace(" ", ""), text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One written number, exact."""

    value: Fraction  # 0.5 for "50%"
    percent: bool = False


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?"
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s*(?:\\?\$|[\u20ac\u00a3\u00a5\u20b9])?\s*(?P<inner>[+-]?)\s*"
    rf"(?:(?P<whole>\d+)\s+(?=\d+\s*/)|(?P<joined>\d+)\s*(?=\\frac))?"
    rf"(?:\\frac\s*\{{?(?P<above>\d+)\}}?\s*\{{?(?P<below>\d+)\}}?"
    rf"|(?P<top>{_DIGITS})\s*/\s*(?P<bottom>{_DIGITS})|(?P<plain>{_DIGITS}))"
    r"\s*(?P<percent>\\?%|percent\b)?"
)


def number(text: str) -> Number | None:
    r"""The number that `text` is; None when it is anything else, a bare sign or two numbers too.

    Understands signs, thousands separators, fractions (`3/4`, `\frac{3}{4}`, `2 1/2`), percent,
    currency signs and exponents. Words around the number are not its business.
    """
    text = unstyled(to_latex(text)).strip().strip("$ ").rstrip(".")
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    match = _NUMBER.fullmatch(text) if len(text) <= 10_000 else None
    if match is None:
        return None
    above = match["above"] or match["top"] or match["plain"]
    below = match["below"] or match["bottom"] or "1"
    top, bottom = _exact(above), _exact(below)
    if not bottom:
        return None
    value = Fraction(int(match["whole"] or match["joined"] or 0)) + top / bottom
    if (match["sign"] == "-") != (match["inner"] == "-"):
        value = -value
    percent = match["percent"] is not None
    return Number(value=value / 100 if percent else value, percent=percent)


def _exact(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").rstrip("."))
