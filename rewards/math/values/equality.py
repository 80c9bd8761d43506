r"""Are two expressions equal? Exactly for rationals, else by evaluation at high precision.

Two constants are equal when their difference keeps shrinking as the precision grows from 60 to 300
digits; a difference that stays, however tiny, is a difference. Two expressions in variables are
equal when they agree so at seeded random points where both are real; the chance that expressions of
the size of an answer agree by accident at all of them is nil for practical purposes.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import mpmath
import sympy
from mpmath import mp
from sympy import Expr

Number: TypeAlias = Any  # mpf or mpc; mpmath ships no types

_LOW, _HIGH = 60, 300  # decimal digits
_LOST = 40  # of the digits, that rounding may cost two equal constants
_TRIES = 40  # points tried
_ENOUGH = 6  # points at which both must be defined and equal
_MOST_NODES = 20_000
_MOST = mpmath.mpf(10) ** 15  # of an exponent, or the argument of a function
_HARMLESS = frozenset({"Abs", "log", "floor", "ceiling", "sign", "re", "im", "Max", "Min", "Mod"})
_RANGES = ((0.1, 1.0), (1.0, 4.0), (-1.0, -0.1), (-4.0, -1.0), (4.0, 60.0), (-60.0, -4.0))
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "cot": mpmath.cot,
    "sec": mpmath.sec, "csc": mpmath.csc, "asin": mpmath.asin, "acos": mpmath.acos,
    "atan": mpmath.atan, "acot": mpmath.acot, "asec": mpmath.asec, "acsc": mpmath.acsc,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "coth": mpmath.coth,
    "sech": mpmath.sech, "csch": mpmath.csch, "asinh": mpmath.asinh, "acosh": mpmath.acosh,
    "atanh": mpmath.atanh, "exp": mpmath.exp, "log": mpmath.log, "Abs": abs,
    "floor": mpmath.floor, "ceiling": mpmath.ceil, "factorial": mpmath.factorial,
    "factorial2": mpmath.fac2, "binomial": mpmath.binomial, "sign": mpmath.sign, "re": mpmath.re,
    "im": mpmath.im, "arg": mpmath.arg, "conjugate": mpmath.conj, "gamma": mpmath.gamma,
    "Max": max, "Min": min, "harmonic": mpmath.harmonic, "zeta": mpmath.zeta,
    "erf": mpmath.erf, "Mod": mpmath.fmod,
}  # fmt: skip


class NotNumeric(ArithmeticError):
    """The expression has no finite value there."""


def equal(left: Expr, right: Expr) -> bool:
    """Whether two expressions are equal wherever both are real."""
    if left == right:
        return True
    if left.is_Rational and right.is_Rational:
        return False
    if left.has(sympy.oo, -sympy.oo) or right.has(sympy.oo, -sympy.oo):
        return False
    symbols = sorted({s.name for s in left.free_symbols | right.free_symbols})
    if not symbols:
        return _close(left, right, {})
    agreed = 0
    for point in _points(symbols, left, right):
        if not _close(left, right, point):
            return False
        agreed += 1
        if agreed >= _ENOUGH:
            return True
    return agreed >= 2


def value_of(expr: Expr, digits: int = 30) -> Number:
    """A constant as an mpmath number; NotNumeric when it has no finite value."""
    with mp.workdps(digits):
        return _Evaluator({}).value(expr)


def within(exact: Expr, rounded: Expr, share: float) -> bool:
    """Whether two constants differ by at most `share` of the first; True when none is computed."""
    if exact.free_symbols or rounded.free_symbols:
        return True
    try:
        first, second = value_of(exact), value_of(rounded)
    except (NotNumeric, ZeroDivisionError, ValueError, OverflowError):
        return True
    return bool(abs(first - second) <= share * abs(first))


def proportion(left: Expr, right: Expr) -> int:
    """The sign of the constant c with left = c * right everywhere; 0 when there is none."""
    symbols = sorted({s.name for s in left.free_symbols | right.free_symbols})
    ratios: list[Number] = []
    with mp.workdps(_LOW):
        tiny = mpmath.mpf(10) ** (-_LOW // 2)
        for point in _points(symbols, left, right):
            first, second = _Evaluator(point).value(left), _Evaluator(point).value(right)
            if abs(second) <= tiny:
                continue
            ratios.append(first / second)
            if abs(ratios[-1] - ratios[0]) > tiny * abs(ratios[0]):
                return 0
            if len(ratios) >= _ENOUGH:
                break
    if not ratios or not ratios[0] or (symbols and len(ratios) < 2):
        return 0
    return int(mpmath.sign(mpmath.re(ratios[0])))


def _points(symbols: list[str], left: Expr, right: Expr) -> Iterator[dict[str, Number]]:
    """Points at which both are defined; real values there unless an expression names i."""
    imaginary = left.has(sympy.I) or right.has(sympy.I)
    source = random.Random(20240229)
    for attempt in range(2 * _TRIES):
        point: dict[str, Number] = {}
        for name in symbols:
            if name.startswith("#"):
                point[name] = mpmath.mpf(source.randrange(5_000, 12_000)) / 10_000
            elif attempt >= _TRIES:  # expressions such as (-1)^n are real at whole numbers only
                point[name] = mpmath.mpf(source.randrange(0, 9))
            else:
                low, high = source.choice(_RANGES[:2] if attempt % 2 else _RANGES)
                whole = source.randrange(int(low * 10**6), int(high * 10**6))
                point[name] = mpmath.mpf(whole) / (10**6 + 3)
        with mp.workdps(30):
            try:
                values = [_Evaluator(point).value(side) for side in (left, right)]
            except (NotNumeric, ZeroDivisionError, ValueError, OverflowError):
                continue
            tiny = mpmath.mpf(10) ** -20
            defined = imaginary or all(abs(mpmath.im(v)) <= tiny * abs(v) for v in values)
        if defined:
            yield point


def _close(left: Expr, right: Expr, point: Mapping[str, Number]) -> bool:
    """Whether the difference vanishes as the precision grows."""
    gaps: list[Number] = []
    for digits in (_LOW // 2, _LOW, _HIGH):
        with mp.workdps(digits):
            try:
                first, second = (_Evaluator(point).value(side) for side in (left, right))
            except (NotNumeric, ZeroDivisionError, ValueError, OverflowError):
                return False
            gap, size = abs(first - second), max(abs(first), abs(second))
            stays = digits == _LOW and abs(gap - gaps[0]) <= gap * mpmath.mpf(10) ** -10
            if stays and gap:
                return False  # the same difference at both precisions: it is no rounding error
            gaps.append(gap)
            if digits == _HIGH and size and gap <= size * mpmath.mpf(10) ** (_LOST - _HIGH):
                return True
    return bool(gaps[2] == 0 or gaps[2] < gaps[1] * mpmath.mpf(10) ** (_LOST + _LOW - _HIGH))


class _Evaluator:
    """Evaluates a sympy tree with mpmath at one point; equal subtrees once."""

    def __init__(self, point: Mapping[str, Number]) -> None:
        self.point = point
        self.known: dict[Expr, Number] = {}

    def value(self, expr: Expr) -> Number:
        found = self.known.get(expr)
        if found is None:
            if len(self.known) > _MOST_NODES:
                raise NotNumeric("too large")
            found = self._compute(expr)
            if not mpmath.isfinite(found):
                raise NotNumeric("not finite")
            self.known[expr] = found
        return found

    def _compute(self, expr: Expr) -> Number:
        if expr.is_Rational:
            return mpmath.mpf(expr.p) / expr.q
        if expr.is_Symbol:
            return self.point[expr.name]
        if expr in (sympy.oo, -sympy.oo, sympy.zoo):
            raise NotNumeric("infinite")
        if expr is sympy.I:
            return mpmath.mpc(0, 1)
        if expr is sympy.pi:
            return +mpmath.pi
        if expr is sympy.E:
            return +mpmath.e
        if expr.is_Add:
            return mpmath.fsum(self.value(arg) for arg in expr.args)
        if expr.is_Mul:
            return mpmath.fprod(self.value(arg) for arg in expr.args)
        if expr.is_Pow:
            return self._power(*expr.args)
        name = type(expr).__name__
        if name in _FUNCTIONS:
            arguments = [self.value(arg) for arg in expr.args]
            if any(abs(argument) > _MOST for argument in arguments) and name not in _HARMLESS:
                raise NotNumeric("a function of a huge number")
            return _FUNCTIONS[name](*arguments)
        if expr.is_number:
            return mpmath.mpmathify(expr.evalf(mp.dps))
        raise NotNumeric(name)

    def _power(self, base: Expr, exponent: Expr) -> Number:
        if base is sympy.E:
            above = self.value(exponent)
            if abs(above) > _MOST:
                raise NotNumeric("too large a power")
            return mpmath.exp(above)
        below = self.value(base)
        if exponent.is_Integer and abs(exponent.p) < 10**12:
            return mpmath.power(below, int(exponent.p))
        above = self.value(exponent)
        if below == 0 and mpmath.re(above) <= 0:
            raise NotNumeric("a power of zero")
        if mpmath.im(below) == 0 and mpmath.im(above) == 0:
            size = abs(above) * (1 + abs(mpmath.log(abs(below)))) if below else 0
            if size > _MOST:
                raise NotNumeric("too large a power")
        return mpmath.power(below, above)
