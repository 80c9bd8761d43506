"""Is this number or expression, with its unit, the gold one?"""

from sympy import Expr, Integer, Rational, pi

from rewards.math.values import equality
from rewards.math.values.forms import Scalar

_PARAMETERS = frozenset("nkmNKlj")  # letters that run over the integers in general solutions
_CONSTANTS = frozenset("CcK")
_DEGREES = (("angle", 1),)
_RADIANS = (("radian", 1),)


def same_quantity(gold: Scalar, answer: Scalar) -> bool:
    if gold.percent or answer.percent:
        if gold.percent and answer.percent:
            return equal_value(gold.value, answer.value)
        if any(form.unit and not form.unit.counts_things for form in (gold, answer)):
            return False
        if equal_value(
            *(
                (gold.value / 100, answer.value)
                if gold.percent
                else (gold.value, answer.value / 100)
            )
        ):
            return True
        above_one = gold.value.is_Rational and abs(gold.value) > 1
        return (gold.percent or above_one) and equal_value(gold.value, answer.value)
    left, right = gold.unit, answer.unit
    if left and right and {left.dimensions, right.dimensions} == {_DEGREES, _RADIANS}:
        return equal_value(*_radians(gold, answer))
    if left is None or right is None or left.counts_things or right.counts_things:
        if _angle(gold) != _angle(answer) and equal_value(*_radians(gold, answer)):
            return True
        return equal_value(gold.value, answer.value)
    if not left.is_like(right):
        return False
    factors = [Rational(u.factor.numerator, u.factor.denominator) for u in (left, right)]
    return equal_value(gold.value * factors[0], answer.value * factors[1])


def _angle(form: Scalar) -> bool:
    return form.unit is not None and form.unit.dimensions == _DEGREES


def _radians(gold: Scalar, answer: Scalar) -> tuple[Expr, Expr]:
    """Both in radians, when one is in degrees and the other bare and a multiple of pi."""
    degrees, bare = (gold, answer) if _angle(gold) else (answer, gold)
    if not bare.value.has(pi):
        return Integer(0), Integer(1)
    return degrees.value * pi / 180, bare.value


def equal_value(gold: Expr, answer: Expr) -> bool:
    if equality.equal(gold, answer):
        return True
    # the answer with its integer parameter or constant of integration called as in the gold
    only_gold = gold.free_symbols - answer.free_symbols
    only_answer = answer.free_symbols - gold.free_symbols
    if len(only_gold) != 1 or len(only_answer) != 1:
        return False
    (theirs,), (ours,) = only_answer, only_gold
    for letters in (_PARAMETERS, _CONSTANTS):
        if (
            ours.name in letters
            and theirs.name in letters
            and gold.has(pi) | (letters is _CONSTANTS)
        ):
            renamed = (answer.subs(theirs, ours), answer.subs(theirs, -ours))
            return any(equality.equal(gold, other) for other in renamed)
    return False
