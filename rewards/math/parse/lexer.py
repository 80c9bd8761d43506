r"""Text of an answer -> tokens. What stands in `\text{}` becomes words, the rest mathematics."""

import re
from fractions import Fraction

from rewards.answers.normalize import unstyled
from rewards.answers.unicode_math import to_latex
from rewards.answers.wording.roles import Unread
from rewards.answers.wording.units import is_unit_word
from rewards.math.parse import decimals
from rewards.math.parse import vocabulary as known
from rewards.math.parse.tokens import MathToken, merged

MOST_TOKENS = 6000
_DIGITS = r"(?:(?<!\d,)\d{1,3}(?:,\d{3})+(?!\d|,\d)(?:\.\d+)?|\d+\.\d+|\d+|\.\d+)"
_EXPONENT = re.compile(r"[eE]([+-]?\d{1,6})(?![\d.])")
_NUMBER = re.compile(_DIGITS)
_ASCII_DIGITS = frozenset("0123456789")
_PLAIN_NUMBER = re.compile(r"\d+\.\d+|\d+|\.\d+")
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?|\\(.)")
_LETTERS = re.compile(r"[A-Za-z]+")
_TEXT_WORD = re.compile(r"[A-Za-z]+(?:[.'-][A-Za-z]+)*")
_HALF_DAY = re.compile(r"[ap]\.\s?m\.?(?![A-Za-z])", re.IGNORECASE)
_SIGNS = {
    "+": ("op", "+"), "-": ("op", "-"), "*": ("op", "*"), "/": ("op", "/"), "^": ("op", "^"),
    "_": ("op", "_"), "!": ("op", "!"), "'": ("op", "'"), "(": ("open", "("), ")": ("close", "("),
    "[": ("open", "["), "]": ("close", "["), "{": ("open", "{"), "}": ("close", "{"),
    "|": ("bar", "|"), ",": ("sep", ","), ";": ("sep", ";"), ":": ("sep", ":"), "=": ("rel", "="),
    "<": ("rel", "<"), ">": ("rel", ">"), "%": ("pct", "%"), "&": ("amp", "&"),
}  # fmt: skip
_DOUBLE_SIGNS = {
    "<=": ("rel", "<="), ">=": ("rel", ">="), "!=": ("rel", "!="), "==": ("rel", "="),
    "**": ("op", "^"), "=<": ("rel", "<="), "=>": ("arrow", "=>"), "->": ("arrow", "->"),
    "<>": ("rel", "!="), ":=": ("rel", "="), "~=": ("rel", "~"),
}  # fmt: skip
_CURRENCIES = {"\u20ac": "eur", "\u00a3": "gbp", "\u00a5": "jpy", "\u20b9": "inr"}


def tokenize(text: str) -> list[MathToken]:
    """The tokens of an answer; Unread when it is far too long to be one."""
    text = unstyled(to_latex(text))
    lexer = _Lexer(text)
    lexer.run()
    return merged(lexer.tokens)


class _Lexer:
    def __init__(self, text: str, *, roman: bool = False, depth: int = 0) -> None:
        self.text = text
        self.tokens: list[MathToken] = []
        self.at = 0
        self.gap = False
        self.roman = roman
        self.depth = depth
        self.money = text.count("$") - text.count(r"\$") == 1
        self.follows = False  # whether something stands before a text command

    def run(self) -> None:
        while self.at < len(self.text):
            if len(self.tokens) > MOST_TOKENS:
                raise Unread("longer than any answer")
            self.one()

    def add(self, kind: str, text: str, value: Fraction = Fraction(0), length: int = 0) -> None:
        self.tokens.append(MathToken(kind, text, value, self.gap, self.roman))
        self.gap = False
        self.at += length

    def one(self) -> None:
        text, at = self.text, self.at
        sign = text[at]
        if sign.isspace():
            self.at += 1
            self.gap = True
        elif sign in _ASCII_DIGITS or (sign == "." and text[at + 1 : at + 2] in _ASCII_DIGITS):
            self.number()
        elif sign == ".":
            self.full_stop()
        elif sign == "\\":
            self.command()
        elif sign.isascii() and sign.isalpha():
            self.letters()
        elif sign == "$":
            self.dollar()
        elif text[at : at + 2] in _DOUBLE_SIGNS:
            self.add(*_DOUBLE_SIGNS[text[at : at + 2]], length=2)
        elif sign in _SIGNS:
            self.sign(sign)
        elif sign in _CURRENCIES:
            self.add("money", _CURRENCIES[sign], length=1)
        elif sign in '"`?@#':
            self.add("other", sign, length=1)
        else:
            self.foreign()

    def foreign(self) -> None:
        match = re.compile(r"[^\W\d_]+").match(self.text, self.at)
        if match is None:
            self.add("other", self.text[self.at], length=1)
        else:
            self.add("word", match.group(), length=len(match.group()))

    def sign(self, sign: str) -> None:
        if sign in "([{":
            self.depth += 1
        elif sign in ")]}":
            self.depth -= 1
        self.add(*_SIGNS[sign], length=1)

    def full_stop(self) -> None:
        dots = re.compile(r"\.(?:\s?\.){2,}").match(self.text, self.at)
        if dots is not None:
            self.add("dots", "...", length=len(dots.group()))
        else:
            self.at += 1  # the end of a sentence
            self.gap = True

    def dollar(self) -> None:
        if self.money and re.compile(r"\$\s*\.?\d").match(self.text, self.at):
            self.add("money", "usd", length=1)
        else:
            self.at += 1
            self.gap = True

    # -- numbers ---------------------------------------------------------------------------------

    def number(self) -> None:
        found = decimals.periodic(self.text, self.at)
        if found is not None:
            value, length = found
            self.add("num", self.text[self.at : self.at + length].replace(" ", ""), value, length)
            return
        grouped = self.depth <= 0 or self.spaced_list()
        match = (_NUMBER if grouped else _PLAIN_NUMBER).match(self.text, self.at)
        assert match is not None, "called at a digit"
        digits = match.group().replace(",", "")
        if len(digits) > 20_000:
            raise Unread("a number of more than 20000 digits")
        value, length = Fraction(digits), len(match.group())
        exponent = _EXPONENT.match(self.text, self.at + length)
        if exponent is not None and abs(int(exponent[1])) <= 20_000:
            value *= Fraction(10) ** int(exponent[1])
            digits, length = digits + exponent.group(), length + len(exponent.group())
        self.add("num", digits, value, length)

    def spaced_list(self) -> bool:
        """Whether commas with a space separate the items of the bracket, so that others do not."""
        start = max(self.text.rfind(sign, 0, self.at) for sign in "([")
        ends = [self.text.find(sign, self.at) for sign in ")]"]
        end = min([place for place in ends if place >= 0], default=len(self.text))
        return ", " in self.text[start + 1 : end]

    # -- words and commands ----------------------------------------------------------------------

    def letters(self) -> None:
        half = _HALF_DAY.match(self.text, self.at)
        if half is not None:
            self.add("word", half.group()[0].lower() + "m", length=len(half.group()))
            return
        match = (_TEXT_WORD if self.roman else _LETTERS).match(self.text, self.at)
        assert match is not None, "called at a letter"
        run = match.group()
        follows_digit = bool(self.tokens) and self.tokens[-1].kind == "num" and not self.gap
        if self.roman and len(run) == 1 and not (self.follows or self.tokens):
            self.add("sym", run, length=1)
            return
        alone = not self.tokens and not self.follows
        if alone and not self.roman and len(run) == 2 and is_unit_word(run):
            for letter in run:  # `ml` with nothing before it is m times l
                self.add("sym", letter, length=1)
            return
        words = known.words_of(
            run,
            roman=self.roman,
            follows_digit=follows_digit,
            follows=self.follows or bool(self.tokens),
            apart=self.apart(self.at, self.at + len(run)),
        )
        for kind, text, length in words:
            self.add(kind, text, length=length)

    def apart(self, start: int, end: int) -> bool:
        """Whether white space, punctuation or an end of the text is on both sides."""
        before, after = self.text[max(0, start - 1) : start], self.text[end : end + 1]
        return (not before or before in " \n,;:(") and (not after or after in " \n,;:.)!")

    def command(self) -> None:
        match = _COMMAND.match(self.text, self.at)
        if match is None:
            self.at += 1
            return
        name = match[1] or match[2]
        length = len(match.group())
        if name in known.TEXT_COMMANDS:
            self.text_command(name, self.at + length)
        elif name == "$":
            self.add("money", "usd", length=length)
        elif name in ("mathbb", "Bbb"):
            self.field(self.at + length)
        elif name in ("begin", "end"):
            self.environment(name, self.at + length)
        elif name in ("boxed", "fbox", "framebox", "hline", "cline", "(", ")", "!", "nonumber"):
            self.at += length
            self.gap = True
        elif match[2] and name in "[]":
            self.at += length
        else:
            if name in ("{", "lbrace", "langle"):
                self.depth += 1
            elif name in ("}", "rbrace", "rangle"):
                self.depth -= 1
            self.add(*known.command(name), length=length)

    def group(self, start: int) -> tuple[str, int]:
        """Content of the `{...}` at `start`, and where it ends; one character when bare."""
        while start < len(self.text) and self.text[start].isspace():
            start += 1
        if start >= len(self.text) or self.text[start] != "{":
            return self.text[start : start + 1], start + 1
        depth = 0
        for place in range(start, len(self.text)):
            escaped = self.text[place - 1] == "\\"
            depth += {"{": 1, "}": -1}.get("" if escaped else self.text[place], 0)
            if depth == 0:
                return self.text[start + 1 : place], place + 1
        return self.text[start + 1 :], len(self.text)

    def text_command(self, name: str, start: int) -> None:
        if name == "rm":
            self.at = start
            return
        content, end = self.group(start)
        function = content.strip()
        if function in known.FUNCTIONS and (name == "operatorname" or function in ("ln", "lg")):
            self.add(*known.command(function))
            self.at = end
            return
        inner = _Lexer(content, roman=True, depth=self.depth)
        inner.gap = self.gap or content[:1].isspace()
        inner.follows = any(token.kind != "open" for token in self.tokens)
        inner.run()
        self.tokens.extend(inner.tokens)
        self.gap = content[-1:].isspace()
        self.at = end

    def field(self, start: int) -> None:
        content, end = self.group(start)
        self.add("field", content.strip())
        self.at = end

    def environment(self, name: str, start: int) -> None:
        content, end = self.group(start)
        self.add(name, content.strip())
        if name == "begin" and content.strip() in ("array", "tabular"):
            _, end = self.group(end)
        self.at = end
