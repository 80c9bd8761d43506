"""One spelling for numbers, LaTeX and Unicode."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.answers.normalize import number, unstyled
from rewards.answers.unicode_math import to_latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("\u221a2", r"\sqrt{2}"),
        ("\u221a(x+1)", r"\sqrt{x+1}"),
        ("\u221b2", r"\sqrt[3]{2}"),
        ("x\u00b2\u2070", "x^{20}"),
        ("a\u2081", "a_{1}"),
        ("\u00bd", r"\frac{1}{2}"),
        ("3\u00be", r"3\frac{3}{4}"),
        ("\u22125", "-5"),
        ("\u2264", r"\le "),
        ("\u221e", r"\infty "),
        ("\uff14\uff12", "42"),
        ("0.3\u0305", r"0.\overline{3}"),
        ("\u03c0", r"\pi "),
        ("\u0394", r"\Delta "),
        ("\u20ac5", "\u20ac5"),
        ("\u2464", "\u2464"),  # a circled five is no number
        ("plain", "plain"),
    ],
)
def test_signs_become_latex(text: str, latex: str) -> None:
    assert to_latex(text) == latex


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (r"\left(1,\,2\right)", "(1, 2)"),
        (r"\displaystyle 5", "5"),
        (r"10{,}000", "10000"),
        (r"10,\!000", "10000"),
        (r"10\,000", "10000"),
        ("10 000", "10000"),
        ("10 00", "10 00"),
        (r"\textcolor{red}{5}", "{5}"),
        (r"\mathbf{5}", "{5}"),
        (r"1 \\ 2", r"1 \\ 2"),  # a row break is no space
        (r"\text{cm}", r"\text{cm}"),
    ],
)
def test_styling_goes(text: str, bare: str) -> None:
    assert " ".join(unstyled(text).split()) == bare


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", Fraction(5)),
        ("-5", Fraction(-5)),
        ("+5", Fraction(5)),
        ("1,234.5", Fraction(2469, 2)),
        ("0.1", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("3/4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"\dfrac34", Fraction(3, 4)),
        (r"2\frac{1}{2}", Fraction(5, 2)),
        ("2 1/2", Fraction(5, 2)),
        ("12.5%", Fraction(1, 8)),
        (r"50\%", Fraction(1, 2)),
        ("$1,000", Fraction(1000)),
        (r"\$5.25", Fraction(21, 4)),
        ("-$5", Fraction(-5)),
        ("2e3", Fraction(2000)),
        ("1.5E-2", Fraction(3, 200)),
        ("\u22125", Fraction(-5)),
    ],
)
def test_a_written_number_has_an_exact_value(text: str, value: Fraction) -> None:
    found = number(text)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    "text", ["", "-", "five", "1 2", "1,23", "1,2,3", "3/0", "5x", "1.2.3", "5 cm", "$", "%", "e5"]
)
def test_anything_else_is_no_number(text: str) -> None:
    assert number(text) is None


@given(st.integers(-(10**12), 10**12))
def test_separators_do_not_change_an_integer(value: int) -> None:
    found = number(f"{value:,}")
    assert found is not None
    assert found.value == value


@given(st.text(max_size=200))
def test_no_text_breaks_the_readers(text: str) -> None:
    assert to_latex(text).isascii() or not text.isascii()
    unstyled(to_latex(text))
    number(text)
