r"""Tokens -> one sympy expression: a grammar for the expressions that answers are made of.

Decimals are exact. `2\frac{1}{2}` is a mixed number, `2\frac{x}{3}` a product. `e` is Euler's
number and `i` the imaginary unit. A degree sign inside a trigonometric function converts, elsewhere
it is noted in `degrees`. Two numbers side by side are an error, not a product.
"""

from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import Expr, Rational, Symbol

from rewards.answers.wording.roles import Unread
from rewards.math.parse import named_functions
from rewards.math.parse.cursor import Cursor
from rewards.math.parse.mixed import mixed_number
from rewards.math.parse.tokens import MathToken, group_end, spelling
from rewards.math.values import arithmetic

_CONSTANTS = {"e": sympy.E, "i": sympy.I, "pi": sympy.pi}
_APPLIED = frozenset("fghFGH")
_STARTS = frozenset({"sym", "func", "open", "cmd", "bar", "inf"})
_PREFIX = frozenset({"frac", "sqrt", "binom", "cbrt", "sum", "prod", "int", "lim"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression, and whether degree signs stood in it outside of named_functions."""

    value: Expr
    degrees: bool


def parse(tokens: list[MathToken]) -> Parsed:
    """The expression that all of the tokens make up; Unread otherwise."""
    parser = _Parser(tokens)
    value = parser.over(parser.sum())
    if parser.at != len(tokens):
        raise Unread(f"unexpected {tokens[parser.at].text!r}")
    value = arithmetic.settled(value)
    if value.has(sympy.nan, sympy.zoo):
        raise Unread("undefined")
    return Parsed(value, parser.degrees)


class _Parser(Cursor):
    def __init__(self, tokens: list[MathToken]) -> None:
        super().__init__(tokens)
        self.degrees = False
        self.circular = 0
        self.bars = 0
        self.bound: frozenset[str] = frozenset()  # names that a sum binds; i is no unit there

    # -- sums and products -----------------------------------------------------------------------

    def sum(self) -> Expr:
        terms = [self.product()]
        while self.is_op("+", "-"):
            minus = self.take().text == "-"
            term = self.product()
            terms.append(-term if minus else term)
        return terms[0] if len(terms) == 1 else sympy.Add(*terms)

    def sign(self) -> int:
        sign = 1
        while self.is_op("+", "-"):
            sign = -sign if self.take().text == "-" else sign
        return sign

    def product(self) -> Expr:
        sign = self.sign()
        above, below = [self.factor()], []
        while True:
            token = self.peek()
            if self.is_op("*"):
                self.at += 1
                minus = self.sign()
                above.append(minus * self.factor())
            elif self.is_op("/"):
                self.at += 1
                minus = self.sign()
                below.append(minus * self.factor())
            elif self.starts_factor(token):
                above.append(self.factor())
            else:
                break
        value = above[0] if len(above) == 1 else sympy.Mul(*above)
        for divisor in below:
            if divisor == 0:
                raise Unread("division by zero")
            value = value / divisor
        return -value if sign < 0 else value

    def starts_factor(self, token: MathToken) -> bool:
        if token.kind == "bar":
            return token.text == "|" and self.bars == 0
        if token.kind == "cmd":
            return token.text in _PREFIX or token.text in ("overline", "bar", "vec", "hat")
        if token.kind == "num":
            before = self.tokens[self.at - 1]
            power = self.peek(1).kind == "op" and self.peek(1).text == "^"
            return before.text in ("(", "!") or (power and before.kind in ("sym", "close"))
        return token.kind in _STARTS and not (token.kind == "open" and token.text in ("set", "<"))

    # -- factors ---------------------------------------------------------------------------------

    def factor(self) -> Expr:
        found = mixed_number(self.tokens, self.at)
        if found is None:
            value = self.atom()
        else:
            value, self.at = found
        while True:
            token = self.peek()
            if self.is_op("!"):
                self.at += 1
                if self.is_op("!") and not self.peek().gap:
                    self.at += 1
                    value = arithmetic.double_factorial(value)
                else:
                    value = arithmetic.factorial(value)
            elif self.is_op("^"):
                self.at += 1
                value = arithmetic.power(value, self.exponent())
            elif token.kind == "deg":
                self.at += 1
                self.skip_minutes()
                if self.circular:
                    value = value * sympy.pi / 180
                else:
                    self.degrees = True
            elif token.kind == "pct":
                self.at += 1
                value = value / 100
            else:
                return value

    def skip_minutes(self) -> None:
        if self.peek().text == "'":
            raise Unread("minutes of arc")

    def exponent(self) -> Expr:
        if self.is_op("-", "+"):
            minus = self.take().text == "-"
            value = self.exponent()
            return -value if minus else value
        token = self.peek()
        if token.kind == "func" or (token.kind == "cmd" and token.text in _PREFIX):
            return self.atom()
        value = self.atom()
        if self.is_op("^"):
            self.at += 1
            value = arithmetic.power(value, self.exponent())
        return value

    def atom(self) -> Expr:
        token = self.take()
        if token.kind == "num":
            return Rational(token.value.numerator, token.value.denominator)
        if token.kind == "sym":
            return self.symbol(token)
        if token.kind == "open":
            return self.bracketed(token)
        if token.kind == "bar" and token.text == "|":
            self.bars += 1
            value = self.sum()
            self.bars -= 1
            self.expect("bar", "|")
            return sympy.Abs(value)
        if token.kind == "inf":
            return sympy.oo
        if token.kind == "func":
            return self.function(token.text)
        if token.kind == "cmd":
            return self.command(token.text)
        raise Unread(f"unexpected {token.text!r}")

    def symbol(self, token: MathToken) -> Expr:
        following = self.peek()
        applied = following.kind == "open" and following.text == "(" and not following.gap
        if token.text[0] in _APPLIED and applied:
            start = self.at
            self.at += 1
            arguments = self.arguments("(")
            if len(self.tokens) - start > 200:
                raise Unread("a function of too much")
            return Symbol(f"{token.text}({','.join(map(str, arguments))})")
        constant = None if token.text in self.bound else _CONSTANTS.get(token.text)
        return Symbol(token.text) if constant is None else constant

    def bracketed(self, opening: MathToken) -> Expr:
        if opening.text in ("set", "<"):
            raise Unread("a set or vector inside an expression")
        bars, self.bars = self.bars, 0
        value = self.over(self.sum())
        self.bars = bars
        self.expect("close", opening.text)
        if opening.text in ("floor", "ceil"):
            return named_functions.applied(opening.text, value, None)
        if opening.text == "|":
            return sympy.Abs(value)
        return value

    def over(self, above: Expr) -> Expr:
        """`above \\over below` and `above \\choose below`, up to the end of the group."""
        if self.peek().kind != "cmd" or self.peek().text not in ("over", "choose"):
            return above
        over = self.take().text == "over"
        below = self.sum()
        return self.divided(above, below) if over else arithmetic.binomial(above, below)

    def divided(self, above: Expr, below: Expr) -> Expr:
        if below == 0:
            raise Unread("division by zero")
        return above / below

    # -- commands and functions ------------------------------------------------------------------

    def argument(self) -> Expr:
        """A TeX argument: a group, or one token; `\\frac12` splits its digits."""
        token = self.peek()
        if token.kind == "open" and token.text == "{":
            self.at += 1
            return self.bracketed(token)
        if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
            first, rest = token.text[0], token.text[1:]
            self.tokens = list(self.tokens)
            self.tokens[self.at] = MathToken("num", rest, Fraction(rest))
            return Rational(first)
        if self.is_op("-"):
            self.at += 1
            return -self.argument()
        return self.atom()

    def command(self, name: str) -> Expr:
        if name == "frac":
            above = self.argument()
            return self.divided(above, self.argument())
        if name == "binom":
            above = self.argument()
            return arithmetic.binomial(above, self.argument())
        if name in ("sqrt", "cbrt"):
            return self.root(3 if name == "cbrt" else 2)
        if name in ("overline", "bar", "vec", "hat"):
            return self.accent(name)
        if name in ("sum", "prod"):
            return self.series(name)
        raise Unread(f"unknown command {name!r}")

    def root(self, index: int) -> Expr:
        order: Expr = Rational(index)
        token = self.peek()
        if token.kind == "open" and token.text == "[":
            self.at += 1
            order = self.bracketed(token)
        token = self.peek()
        if token.kind == "num" and len(token.text) > 1:
            self.at += 1
            radicand = Rational(token.value.numerator, token.value.denominator)
        else:
            radicand = self.argument()
        if order == 0:
            raise Unread("a zeroth root")
        return arithmetic.power(radicand, 1 / order)

    def accent(self, name: str) -> Expr:
        """`\\overline{AB}`: a name, whatever stands under the accent."""
        start = self.at
        self.at = group_end(self.tokens, start)
        content = [t for t in self.tokens[start : self.at] if t.text != "{"]
        return Symbol(f"{name}({spelling(content)})")

    def series(self, name: str) -> Expr:
        """A finite sum or product with numbers for limits, or a sum that sympy can close."""
        self.expect("op", "_")
        self.expect("open", "{")
        index = self.take()
        self.expect("rel", "=")
        low = self.sum()
        self.expect("close", "{")
        self.expect("op", "^")
        high = self.argument()
        variable = Symbol(index.text)
        outer, self.bound = self.bound, self.bound | {index.text}
        body = self.product()
        self.bound = outer
        return named_functions.series(name, body, variable, low, high)

    def arguments(self, bracket: str) -> list[Expr]:
        values = [self.sum()]
        while self.peek().kind == "sep" and self.peek().text == ",":
            self.at += 1
            values.append(self.sum())
        self.expect("close", bracket)
        return values

    def function(self, name: str) -> Expr:
        base: Expr | None = None
        exponent: Expr | None = None
        if name in ("log", "ln") and self.is_op("_"):
            self.at += 1
            base = self.argument()
        if self.is_op("^"):
            self.at += 1
            exponent = self.argument()
            if exponent == -1 and name in named_functions.INVERSES:
                name, exponent = named_functions.INVERSES[name], None
        if name in named_functions.SEVERAL:
            opening = self.take()
            if opening.kind != "open":
                raise Unread(f"{name} without brackets")
            return named_functions.SEVERAL[name](*self.arguments(opening.text))
        self.circular += name in named_functions.CIRCULAR
        value = named_functions.applied(name, self.function_argument(), base)
        self.circular -= name in named_functions.CIRCULAR
        return value if exponent is None else arithmetic.power(value, exponent)

    def function_argument(self) -> Expr:
        token = self.peek()
        if token.kind == "open" and token.text in ("(", "[", "{"):
            self.at += 1
            value = self.bracketed(token)
            if self.peek().kind == "deg":
                self.at += 1
                value = value * sympy.pi / 180
            return value
        sign = self.sign()
        factors = [self.factor()]
        while self.starts_factor(self.peek()) and self.peek().kind not in ("func", "open"):
            factors.append(self.factor())
        while self.is_op("/") and factors[-1].is_number and self.peek(1).kind == "num":
            self.at += 1
            factors.append(1 / self.factor())
        return sympy.Mul(sign, *factors)
