"""What kind of thing an answer is."""

import pytest
from sympy import E, I, Integer, Rational, Symbol, log, oo, pi, sin, sqrt

from rewards.answers.wording.roles import Refused
from rewards.math.parse.parser import readings
from rewards.math.values.forms import (
    Clock,
    Field,
    MathGroup,
    Matrix,
    Named,
    Numeral,
    Ratio,
    Relation,
    Scalar,
    Unknown,
    Words,
)

x, t, m, a, b = (Symbol(name) for name in "xtmab")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac12", Rational(1, 2)),
        (r"2\frac{1}{2}", Rational(5, 2)),
        ("2 1/2", Rational(5, 2)),
        (r"-1\frac{3}{4}", Rational(-7, 4)),
        (r"2\frac{x}{3}", 2 * x / 3),
        ("1,234.5", Rational(2469, 2)),
        ("4.5e3", Integer(4500)),
        ("2e", 2 * E),
        (r"0.1\overline{6}", Rational(1, 6)),
        (r"0.\dot{3}", Rational(1, 3)),
        ("0.1666...", Rational(1, 6)),
        ("3xt", 3 * x * t),
        ("2(3)", Integer(6)),
        ("x(x+1)", x * (x + 1)),
        (r"\sin 30^\circ", sin(pi / 6)),
        (r"\sin^2 x", sin(x) ** 2),
        (r"\log_2 8", Integer(3)),
        (r"\ln\frac{1}{2}", log(Rational(1, 2))),
        (r"\sqrt2", sqrt(2)),
        ("i^2", Integer(-1)),
        ("3+4i", 3 + 4 * I),
        ("|{-3}|", Integer(3)),
        (r"\binom{5}{2}", Integer(10)),
        ("5!", Integer(120)),
        (r"{1 \over 2}", Rational(1, 2)),
        (r"\sum_{i=1}^{4} i^2", Integer(30)),
        (r"\infty", oo),
        ("two", Integer(2)),
    ],
)
def test_expressions(text: str, value: object) -> None:
    form = readings(text)[0]
    assert isinstance(form, Scalar)
    assert form.value.equals(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1, 2", MathGroup),
        ("(1,2)", MathGroup),
        (r"\{1,2\}", MathGroup),
        (r"\pm 3", MathGroup),
        ("x = 5", Named),
        ("f(x) = x^2", Named),
        ("x^2 + y^2 = 25", Relation),
        ("x + y > 2", Relation),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", Matrix),
        ("1:2:3", Ratio),
        ("3:30 p.m.", Clock),
        ("1010_2", Numeral),
        (r"\mathbb{R}", Field),
        (r"\text{all real numbers}", Field),
        (r"\text{no solution}", MathGroup),
        (r"\text{east}", Words),
        ("-\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", Matrix),
        ("5 ft 6 in", Scalar),
        ("", Unknown),
        ("1 2", Unknown),
        (r"\frac{1}{0}", Unknown),
        ("5 or something else", MathGroup),
        ("1, 2, ..., 100", Unknown),
        (r"\text{multiples of } 5", Unknown),
        (")(", Unknown),
        (r"\begin{pmatrix} 1 & 2 \\ 3 \end{pmatrix}", Unknown),
    ],
)
def test_kinds_of_answers(text: str, kind: type) -> None:
    assert isinstance(readings(text)[0], kind)


def test_a_letter_after_a_gap_may_be_a_unit_and_one_without_is_not() -> None:
    product, quantity = readings("5 m")
    assert isinstance(product, Scalar)
    assert isinstance(quantity, Scalar)
    assert product.value == 5 * m
    assert quantity.value == 5
    assert len(readings("5m")) == 1


def test_a_decimal_comma_is_read_only_where_it_may_be_one() -> None:
    assert len(readings("3,5")) == 1
    assert readings("3,5", comma_decimal=True)[1] == Scalar(Rational(7, 2))


def test_digits_between_commas_are_numbers_of_a_list_unless_they_are_groups_of_three() -> None:
    assert readings("1,000") == [Scalar(Integer(1000))]
    assert isinstance(readings("27,54,108")[0], MathGroup)
    assert [type(form) for form in readings("144,225")] == [Scalar, MathGroup]


@pytest.mark.parametrize("text", [r"\text{not } 5", "at least 5", "twice 5", r"5 \text{ squared}"])
def test_words_that_deny_or_change_a_number_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        readings(text)
