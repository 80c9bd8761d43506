r"""Bring numbers, units, LaTeX and Unicode to one spelling. Pure text; no algebra here.

plain       Unicode signs as LaTeX or ASCII: `\u221a2` -> `\sqrt{2}`, `x\u00b2` -> `x^{2}`
unstyled    without spacing, sizes, colours and fonts: `\left(\mathbf{2}\,\right)` -> `(2)`
number      the exact value of one written number: "1,234.5", "$3/4", "12.5%", "2 1/2"
words       letters and digits alone, lower case, for comparing answers in words
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

_SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\ufe63": "-",
    "\uff0d": "-",
    "\u00d7": r"\times ",
    "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ",
    "\u2219": r"\cdot ",
    "\u2217": "*",
    "\u00f7": r"\div ",
    "\u2044": "/",
    "\u2215": "/",
    "\u221e": r"\infty ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2a7d": r"\le ",
    "\u2a7e": r"\ge ",
    "\u2260": r"\ne ",
    "\u2248": r"\approx ",
    "\u2245": r"\approx ",
    "\u2243": r"\approx ",
    "\u00b1": r"\pm ",
    "\u2213": r"\mp ",
    "\u00b0": r"^\circ ",
    "\u00ba": r"^\circ ",
    "\u2218": r"\circ ",
    "\u2032": "'",
    "\u2033": "''",
    "\u2208": r"\in ",
    "\u2209": r"\notin ",
    "\u222a": r"\cup ",
    "\u2229": r"\cap ",
    "\u2216": r"\setminus ",
    "\u2205": r"\emptyset ",
    "\u2282": r"\subset ",
    "\u2286": r"\subseteq ",
    "\u2227": r"\land ",
    "\u2228": r"\lor ",
    "\u2192": r"\to ",
    "\u21d2": r"\Rightarrow ",
    "\u2124": r"\mathbb{Z}",
    "\u211d": r"\mathbb{R}",
    "\u211a": r"\mathbb{Q}",
    "\u2115": r"\mathbb{N}",
    "\u2102": r"\mathbb{C}",
    "\u2211": r"\sum ",
    "\u220f": r"\prod ",
    "\u222b": r"\int ",
    "\u2220": r"\angle ",
    "\u25b3": r"\triangle ",
    "\u2026": r"\ldots ",
    "\u22ef": r"\ldots ",
    "\u2223": "|",
    "\u27e8": r"\langle ",
    "\u27e9": r"\rangle ",
    "\u2329": r"\langle ",
    "\u232a": r"\rangle ",
    "\u230a": r"\lfloor ",
    "\u230b": r"\rfloor ",
    "\u2308": r"\lceil ",
    "\u2309": r"\rceil ",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2236": ":",
    "\u00a0": "~",
    "\u202f": "~",
    "\u2009": "~",
    "\u2007": "~",
    "\u2002": " ",
    "\u2003": " ",
    "\u200b": "",
    "\ufeff": "",
    "\u2061": "",
    "\u2062": "",
    "\u2063": ",",
    "\u2064": "",
    "\u3002": ".",
    "\u3001": ",",
    "\u03d5": r"\phi ",
    "\u2202": r"\partial ",
    "\u00ac": r"\neg ",
    "\u2a2f": r"\times ",
    "\u2715": r"\times ",
    "\u2a09": r"\times ",
}
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "varsigma sigma tau upsilon phi chi psi omega"
).split()
_SIGNS |= {chr(0x3B1 + place): f"\\{name} " for place, name in enumerate(_GREEK)}
_SIGNS |= {
    chr(0x391 + place): f"\\{name.capitalize()} "
    for place, name in enumerate(_GREEK)
    if name in {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "phi", "psi", "omega"}
}
_SUPERSCRIPTS = dict(zip("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207d\u207e\u207f\u2071\u02e3",
                         "0123456789+-()nix", strict=True))  # fmt: skip
_SUBSCRIPTS = dict(zip("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u2099",
                       "0123456789+-n", strict=True))  # fmt: skip
_RAISED = re.compile(f"[{''.join(map(re.escape, _SUPERSCRIPTS))}]+")
_LOWERED = re.compile(f"[{''.join(map(re.escape, _SUBSCRIPTS))}]+")
_ROOT = re.compile(
    "([\u221a\u221b\u221c])\\s*(\\((?:[^()]|\\([^()]*\\))*\\)|\\{[^{}]*\\}|\\d+(?:\\.\\d+)?|[A-Za-z]|\\\\[A-Za-z]+|)"
)
_OVERLINED = re.compile("((?:\\d\u0305)+)")
_DOTTED = re.compile("(\\d)\u0307")
_KEPT = frozenset("\u20ac\u00a3\u00a5\u20b9")  # currency signs stay as they are


def plain(text: str) -> str:
    """Unicode signs as LaTeX or ASCII; a text of ASCII comes back unchanged."""
    if text.isascii():
        return text
    text = _OVERLINED.sub(lambda m: r"\overline{" + m[1].replace("\u0305", "") + "}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    text = _RAISED.sub(lambda m: "^{" + "".join(_SUPERSCRIPTS[c] for c in m[0]) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + "".join(_SUBSCRIPTS[c] for c in m[0]) + "}", text)
    text = _ROOT.sub(_latex_root, text)
    return "".join(c if c.isascii() or c in _KEPT else _one_sign(c) for c in text)


def _latex_root(match: re.Match[str]) -> str:
    index = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}[match[1]]
    radicand = match[2]
    if radicand[:1] in ("(", "{"):
        radicand = radicand[1:-1]
    return f"\\sqrt{index}{{{radicand}}}" if radicand else f"\\sqrt{index} "


def _one_sign(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if unicodedata.category(sign) == "No":
        value = unicodedata.normalize("NFKC", sign)
        if "\u2044" not in value:
            return sign  # a circled digit or the like
        above, below = value.split("\u2044")  # a vulgar fraction
        return f"\\frac{{{above}}}{{{below}}}"
    folded = unicodedata.normalize("NFKC", sign)
    if folded != sign:
        return "".join(c if c.isascii() or c in _KEPT else _SIGNS.get(c, c) for c in folded)
    return sign


_SPACES = re.compile(
    r"(?<!\\)\\!|\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|mathstrut|strut|"
    r"bf|it|sf|tt|sl|tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bfseries)"
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
_SPACED_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)(?! *[/,])")


def unstyled(text: str) -> str:
    r"""Without spacing commands, sizes, colours and fonts; `10{,}000` and `10\,000` lose the gap.

    What changes the meaning stays: `\text`, `\mathrm`, `\mathbb`, accents.
    """
    text = _GROUPED.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _COLOUR.sub(" ", text)
    text = _FONT.sub(" ", text)
    text = _SIZES.sub(" ", text)
    text = _WIDE.sub(" ", text)
    return _SPACED_GROUPS.sub(lambda m: m[0].replace(" ", ""), text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One written number, exact."""

    value: Fraction  # 0.5 for "50%"
    percent: bool = False
    currency: str = ""  # the sign, empty when there is none


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?"
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<currency>\\?\$|[\u20ac\u00a3\u00a5\u20b9])?\s*(?P<inner>[+-]?)\s*"
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
    text = unstyled(plain(text)).strip().strip("$ ").rstrip(".")
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
    currency = (match["currency"] or "").lstrip("\\")
    return Number(value=value / 100 if percent else value, percent=percent, currency=currency)


def _exact(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").rstrip("."))


_COMMAND = re.compile(r"\\[A-Za-z]+\*?|\\.")
_TEXT = re.compile(
    r"\\(?:text|mathrm|textbf|textit|textrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}"
)


def words(text: str) -> str:
    """Letters and digits in lower case, single spaces between them, articles left out."""
    text = _TEXT.sub(r" \1 ", unstyled(plain(text)))
    text = _COMMAND.sub(" ", text)
    found = re.findall(r"\w+(?:['.-]\w+)*", text.lower())
    return " ".join(word for word in found if word not in {"a", "an", "the"})
