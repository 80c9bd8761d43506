r"""Unicode signs of mathematics as LaTeX or ASCII: `\u221a2` -> `\sqrt{2}`."""

import re
import unicodedata

# What a sign becomes, then the code points of all signs that become it.
_TABLE = r"""
-               2212 2013 2014 2010 2011 2012 fe63 ff0d
\times          00d7 2a2f 2715 2a09
\cdot           00b7 22c5 2219
*               2217
\div            00f7
/               2044 2215
\infty          221e
\le             2264 2a7d
\ge             2265 2a7e
\ne             2260
\approx         2248 2245 2243
\pm             00b1
\mp             2213
^\circ          00b0 00ba 02da
\circ           2218
'               2032 2018 2019
''              2033
\in             2208
\notin          2209
\cup            222a
\cap            2229
\setminus       2216
\emptyset       2205 00d8
\subset         2282
\subseteq       2286
\land           2227
\lor            2228
\to             2192
\Rightarrow     21d2
\mathbb{Z}      2124
\mathbb{R}      211d
\mathbb{Q}      211a
\mathbb{N}      2115
\mathbb{C}      2102
\sum            2211
\prod           220f
\int            222b
\angle          2220
\triangle       25b3
\ldots          2026 22ef
|               2223
\langle         27e8 2329
\rangle         27e9 232a
\lfloor         230a
\rfloor         230b
\lceil          2308
\rceil          2309
"               201c 201d
:               2236
~               00a0 202f 2009 2007
,               2063 3001
.               3002
\phi            03c6 03d5
\partial        2202
\neg            00ac
\alpha          03b1
\beta           03b2
\gamma          03b3
\delta          03b4
\epsilon        03b5
\zeta           03b6
\eta            03b7
\theta          03b8
\iota           03b9
\kappa          03ba
\lambda         03bb
\mu             03bc
\nu             03bd
\xi             03be
\omicron        03bf
\pi             03c0
\rho            03c1
\varsigma       03c2
\sigma          03c3
\tau            03c4
\upsilon        03c5
\chi            03c7
\psi            03c8
\omega          03c9
\Gamma          0393
\Delta          0394
\Theta          0398
\Lambda         039b
\Xi             039e
\Pi             03a0
\Sigma          03a3
\Phi            03a6
\Psi            03a8
\Omega          03a9
"""
_SPACES = "\u2002\u2003"
_NOTHING = "\u200b\ufeff\u2061\u2062\u2064"  # zero width, and invisible operators
_RAISED = dict(zip("\u2070\u00b9\u00b2\u00b3", "0123", strict=True)) | dict(
    zip("\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207d\u207e\u207f\u2071\u02e3",
        "456789+-()nix", strict=True)
)  # fmt: skip
_LOWERED = dict(
    zip("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u2099",
        "0123456789+-n", strict=True)
)  # fmt: skip
_KEPT = frozenset("\u20ac\u00a3\u00a5\u20b9")  # currency signs stay as they are
_RAISED_RUN = re.compile(f"[{''.join(map(re.escape, _RAISED))}]+")
_LOWERED_RUN = re.compile(f"[{''.join(map(re.escape, _LOWERED))}]+")
_ROOT = re.compile(
    "([\u221a\u221b\u221c])\\s*(\\((?:[^()]|\\([^()]*\\))*\\)|\\{[^{}]*\\}|\\d+(?:\\.\\d+)?"
    "|[A-Za-z]|\\\\[A-Za-z]+|)"
)
_OVERLINED = re.compile("((?:\\d\u0305)+)")
_DOTTED = re.compile("(\\d)\u0307")
_SIGNS = dict.fromkeys(_NOTHING, "") | dict.fromkeys(_SPACES, " ")
for _line in _TABLE.strip().split("\n"):
    _latex, *_points = _line.split()
    _spaced = _latex if _latex[-1] == "}" or _latex[0] not in "\\^" else _latex + " "
    _SIGNS |= dict.fromkeys([chr(int(point, 16)) for point in _points], _spaced)


def to_latex(text: str) -> str:
    """Unicode signs as LaTeX or ASCII; a text of ASCII comes back unchanged."""
    if text.isascii():
        return text
    text = _OVERLINED.sub(lambda m: r"\overline{" + m[1].replace("\u0305", "") + "}", text)
    text = _DOTTED.sub(r"\\dot{\1}", text)
    text = _RAISED_RUN.sub(lambda m: "^{" + "".join(_RAISED[c] for c in m[0]) + "}", text)
    text = _LOWERED_RUN.sub(lambda m: "_{" + "".join(_LOWERED[c] for c in m[0]) + "}", text)
    text = _ROOT.sub(_latex_root, text)
    return "".join(c if c.isascii() or c in _KEPT else _one(c) for c in text)


def _latex_root(match: re.Match[str]) -> str:
    index = {"\u221a": "", "\u221b": "[3]", "\u221c": "[4]"}[match[1]]
    radicand = match[2]
    if radicand[:1] in ("(", "{"):
        radicand = radicand[1:-1]
    return f"\\sqrt{index}{{{radicand}}}" if radicand else f"\\sqrt{index} "


def _one(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if sign.isdecimal():  # of any script
        return str(unicodedata.decimal(sign))
    folded = unicodedata.normalize("NFKC", sign)
    if unicodedata.category(sign) == "No":
        if "\u2044" not in folded:
            return sign  # a circled digit or the like
        above, below = folded.split("\u2044")  # a vulgar fraction
        return f"\\frac{{{above}}}{{{below}}}"
    return "".join(c if c.isascii() or c in _KEPT else _SIGNS.get(c, c) for c in folded)
