"""Named functions, and finite sums and products, as sympy expressions."""

import sympy
from sympy import Expr, Rational, Symbol

from rewards.answers.wording.roles import Unread

_FUNCTIONS = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec,
    "csc": sympy.csc, "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan,
    "arccot": sympy.acot, "arcsec": sympy.asec, "arccsc": sympy.acsc, "sinh": sympy.sinh,
    "cosh": sympy.cosh, "tanh": sympy.tanh, "coth": sympy.coth, "sech": sympy.sech,
    "csch": sympy.csch, "arcsinh": sympy.asinh, "arccosh": sympy.acosh, "arctanh": sympy.atanh,
    "exp": sympy.exp, "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling,
    "sgn": sympy.sign, "re": sympy.re, "im": sympy.im, "arg": sympy.arg,
}  # fmt: skip
INVERSES = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec",
    "csc": "arccsc", "sinh": "arcsinh", "cosh": "arccosh", "tanh": "arctanh",
}  # fmt: skip
CIRCULAR = frozenset({"sin", "cos", "tan", "cot", "sec", "csc", "cis"})
SEVERAL = {"max": sympy.Max, "min": sympy.Min, "gcd": sympy.gcd, "lcm": sympy.lcm}
_MOST_TERMS = 5000  # of a finite sum or product


def applied(name: str, argument: Expr, base: Expr | None) -> Expr:
    """`name` of `argument`; `base` is that of a logarithm, None for its default."""
    if name in ("log", "ln", "lg"):
        if argument == 0:
            raise Unread("logarithm of zero")
        if base is None:
            base = sympy.E if name == "ln" else Rational(10)
        return sympy.log(argument) / sympy.log(base)
    if name == "cis":
        return sympy.cos(argument) + sympy.I * sympy.sin(argument)
    if name not in _FUNCTIONS:
        raise Unread(f"unknown function {name!r}")
    return _FUNCTIONS[name](argument)


def series(name: str, body: Expr, variable: Symbol, low: Expr, high: Expr) -> Expr:
    """A "sum" or "prod" of `body`: added up when its limits are numbers, else closed by sympy."""
    if low.is_Integer and high.is_Integer:
        if high - low > _MOST_TERMS:
            raise Unread("a series of too many terms")
        terms = [body.subs(variable, step) for step in range(int(low), int(high) + 1)]
        return sympy.Add(*terms) if name == "sum" else sympy.Mul(*terms)
    kind = sympy.Sum if name == "sum" else sympy.Product
    return kind(body, (variable, low, high)).doit()
