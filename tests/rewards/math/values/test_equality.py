"""Equality of expressions by exact arithmetic and by evaluation."""

import pytest
import sympy
from sympy import I, Integer, Rational, Symbol, cos, exp, log, pi, sin, sqrt

from rewards.math.values.equality import NotNumeric, equal, proportion, value_of

x, y, n = Symbol("x"), Symbol("y"), Symbol("n")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (sqrt(3 + 2 * sqrt(2)), 1 + sqrt(2)),
        (sin(x) ** 2 + cos(x) ** 2, Integer(1)),
        (sqrt(x**2), abs(x)),
        ((x**2 - 1) / (x - 1), x + 1),
        (exp(I * pi / 3), Rational(1, 2) + sqrt(3) * I / 2),
        (sqrt(2) ** 50 - Integer(2) ** 25, Integer(0)),
        ((x + 1) ** 200, (1 + x) ** 200),
        ((-1) ** n, cos(pi * n)),  # at whole numbers, the only points where both are real
        (log(x * y), log(x) + log(y)),
    ],
)
def test_equal_expressions(left: sympy.Expr, right: sympy.Expr) -> None:
    assert equal(left, right)
    assert equal(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Rational(1, 2**40), Rational(1, 2**41)),
        (Integer(10) ** -300, Integer(0)),
        (exp(-300), Integer(0)),
        (exp(-20), exp(-21)),
        (1 + exp(-200), Integer(1)),
        (pi, Rational(314159265358979, 10**14)),
        (sqrt(x**2), x),
        (x, y),
        (x + 1, x + 1 + Rational(1, 10**12)),
        (sin(x), cos(x)),
        (sqrt(2), -sqrt(2)),
        (sympy.oo, -sympy.oo),
    ],
)
def test_different_expressions_however_close(left: sympy.Expr, right: sympy.Expr) -> None:
    assert not equal(left, right)
    assert not equal(right, left)


def test_proportional_expressions_have_a_sign() -> None:
    assert proportion(2 * x - 2 * y, x - y) == 1
    assert proportion(y - x, 3 * x - 3 * y) == -1
    assert proportion(x, x + 1) == 0


def test_values_that_do_not_exist_are_refused() -> None:
    with pytest.raises(NotNumeric):
        value_of(log(Integer(0), evaluate=False))
