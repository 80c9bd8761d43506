"""Powers and factorials that cannot blow up."""

import pytest
import sympy
from sympy import Integer, Rational

from rewards.math.values.arithmetic import binomial, factorial, is_formal, power


def tower(*levels: int) -> sympy.Expr:
    value: sympy.Expr = Integer(levels[-1])
    for level in reversed(levels[:-1]):
        value = power(Integer(level), value)
    return value


def test_small_powers_are_numbers() -> None:
    assert power(Integer(2), Integer(10)) == 1024
    assert power(Rational(2, 3), Integer(-2)) == Rational(9, 4)
    assert power(Integer(-8), Rational(1, 3)) == -2


def test_equal_towers_are_equal_and_others_are_not() -> None:
    assert tower(9, 9, 9, 9) == tower(9, 9, 9, 9)
    assert tower(9, 9, 9) == power(Integer(3), 2 * Integer(9) ** 9)
    assert tower(9, 9, 9, 9) != tower(9, 9, 9, 8)
    assert is_formal(tower(9, 9, 9))
    assert not is_formal(tower(3, 3, 3))


def test_powers_of_one_and_minus_one_stay_small_whatever_the_exponent() -> None:
    assert power(Integer(1), Integer(10) ** 50) == 1
    assert power(Integer(-1), Integer(10) ** 50 + 1) == -1


@pytest.mark.parametrize("build", [factorial, lambda n: binomial(n, n // 2)])
def test_huge_counts_are_formal(build) -> None:
    assert is_formal(build(Integer(10) ** 9))
    assert build(Integer(10) ** 9) == build(Integer(10) ** 9)
    assert not is_formal(build(Integer(10)))


def test_small_counts_are_numbers() -> None:
    assert factorial(Integer(5)) == 120
    assert binomial(Integer(5), Integer(2)) == 10
