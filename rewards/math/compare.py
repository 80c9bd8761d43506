r"""Is this form the gold form? Each pair of kinds that can be equal has its rule here."""

import itertools
from collections.abc import Sequence

from sympy import Symbol

from rewards.math.quantities import equal_value, same_quantity
from rewards.math.small_forms import (
    same_clocks,
    same_matrices,
    same_numerals,
    same_ratios,
    same_words,
)  # fmt: skip
from rewards.math.values import equality, regions
from rewards.math.values.forms import (
    Chain,
    Clock,
    Field,
    Form,
    MathGroup,
    Matrix,
    Named,
    Numeral,
    Ratio,
    Region,
    Relation,
    Scalar,
    Unknown,
    Words,
)  # fmt: skip

_COORDINATES = frozenset("xyz")
_FEW = 10  # items of a set that are looked at for repeats before anything else
_ROUNDED = 0.1  # largest relative difference of a number and what it is rounded to
_MOST_PAIRS = 60  # items of a list compared without regard to order


def same(gold: Form, answer: Form) -> bool:
    """Whether `answer` is what `gold` is. Not symmetric: an answer may say more than asked."""
    answer = _unwrapped(answer)
    gold = _unwrapped(gold)
    if isinstance(answer, Chain):
        return _from_chain(gold, answer)
    if isinstance(gold, Chain):
        return same(gold.values[-1], answer)
    if isinstance(gold, Named) or isinstance(answer, Named):
        return _named(gold, answer)
    if isinstance(gold, Scalar) and isinstance(answer, Scalar):
        return same_quantity(gold, answer)
    if isinstance(gold, MathGroup) and isinstance(answer, MathGroup):
        return _groups(gold, answer) or _same_region(gold, answer)
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        return _relations(gold, answer) or _same_region(gold, answer)
    if isinstance(gold, Scalar) and isinstance(answer, MathGroup) and answer.joined != ",":
        return answer.kind == "list" and all(same(gold, item) for item in answer.items)
    if isinstance(gold, Scalar) and isinstance(answer, Relation) and answer.op == "=":
        # `m + n = 113` for 113; `(x+1)^2 = x^2+2x+1` for either side
        sides_agree = (
            equality.equal(answer.left, answer.right)
            if gold.value.free_symbols
            else not answer.right.free_symbols
        )
        return sides_agree and equal_value(gold.value, answer.right)
    if isinstance(gold, Matrix) or isinstance(answer, Matrix):
        return same_matrices(gold, answer)
    if isinstance(gold, Ratio) or isinstance(answer, Ratio):
        return same_ratios(gold, answer)
    if isinstance(gold, Clock) or isinstance(answer, Clock):
        return same_clocks(gold, answer)
    if isinstance(gold, Numeral) or isinstance(answer, Numeral):
        return same_numerals(gold, answer)
    if isinstance(gold, Words) or isinstance(answer, Words):
        return same_words(gold, answer)
    if isinstance(gold, Field) and isinstance(answer, Field):
        return gold.name == answer.name
    if isinstance(gold, Unknown) or isinstance(answer, Unknown):
        return gold == answer
    if isinstance(gold, Region) and isinstance(answer, MathGroup) and answer.kind == "list":
        return _same_region(gold, regions.united(answer.items) or answer)
    return _same_region(gold, answer) or same_matrices(gold, answer)


def _unwrapped(form: Form) -> Form:
    """A list or set of one thing is that thing."""
    if isinstance(form, MathGroup) and form.kind == "set" and 1 < len(form.items) <= _FEW:
        form = MathGroup("set", tuple(_distinct(list(form.items))))
    while isinstance(form, MathGroup) and len(form.items) == 1 and form.kind in ("list", "set"):
        if form.items[0] == MathGroup("set", ()):
            break
        form = form.items[0]
    if isinstance(form, Named) and isinstance(form.value, MathGroup) and len(form.value.items) > 1:
        named = tuple(Named(form.name, item) for item in form.value.items)
        return form if form.value.kind == "tuple" else MathGroup("list", named)
    return form


def _from_chain(gold: Form, answer: Chain) -> bool:
    """`2 + 3 = 5`: exact steps must hold; the gold is the last exact value, or the rounded one."""
    exact = [answer.values[0]]
    for value, rounded in zip(answer.values[1:], answer.approximate, strict=True):
        if not rounded:
            exact.append(value)
        elif isinstance(exact[-1], Scalar) and isinstance(value, Scalar):
            alike = (exact[-1].unit, exact[-1].percent) == (value.unit, value.percent)
            if alike and not equality.within(exact[-1].value, value.value, _ROUNDED):
                return False
    if any(not same(a, b) and not same(b, a) for a, b in itertools.pairwise(exact)):
        return False
    return any(same(gold, value) for value in (exact[-1], answer.values[-1], exact[0]))


# -- names, relations ----------------------------------------------------------------------------


def _named(gold: Form, answer: Form) -> bool:
    if isinstance(gold, Named) and isinstance(answer, Named):
        # two different variables, or functions of different names
        plain = [name for name in (gold.name, answer.name) if name and len(name.split()[0]) <= 6]
        heads, applied = {name.split()[0] for name in plain}, {"(" in name for name in plain}
        if len(heads) == 2 and len(applied) == 1:
            return _relations_of(gold, answer)
        # the answer's value with `f(n)`'s argument called as in the gold's `f(x)`
        ours, theirs = (n.replace("(", " ").split() for n in (gold.name, answer.name))
        value = answer.value
        if len(ours) == len(theirs) == 2 and ours[1] != theirs[1] and isinstance(value, Scalar):
            value = Scalar(value.value.subs(Symbol(theirs[1]), Symbol(ours[1])), value.unit)
        return same(gold.value, value) or _relations_of(gold, answer)
    if isinstance(answer, Named):
        if isinstance(gold, Relation):
            return _relations_of(gold, answer)
        if isinstance(gold, MathGroup) and gold.kind == "list":
            return _lists(gold, MathGroup("list", (answer,)))
        return same(gold, answer.value)
    assert isinstance(gold, Named)
    if isinstance(answer, Relation):
        return _relations_of(gold, answer)
    if isinstance(answer, MathGroup) and answer.kind == "list" and _assignments(answer):
        return _lists(MathGroup("list", (gold,)), answer)
    if gold.name in _COORDINATES and isinstance(gold.value, Scalar):
        curve = {s.name for s in gold.value.value.free_symbols} & _COORDINATES
        # `y = 2x + 3`: the equation is the answer, its right side is not
        return not curve and same(gold.value, answer)
    return same(gold.value, answer)


def _relations_of(gold: Form, answer: Form) -> bool:
    left, right = _as_relation(gold), _as_relation(answer)
    return left is not None and right is not None and _relations(left, right)


def _as_relation(form: Form) -> Relation | None:
    if isinstance(form, Relation):
        return form
    if isinstance(form, Named) and isinstance(form.value, Scalar) and form.name.isidentifier():
        return Relation(Symbol(form.name), "=", form.value.value)
    return None


def _relations(gold: Relation, answer: Relation) -> bool:
    """Proportional differences of the sides; the sign matters for inequalities."""
    left, right = gold.left - gold.right, answer.left - answer.right
    first, second = _direction(gold.op), _direction(answer.op)
    if {gold.op[-1:] == "=", answer.op[-1:] == "="} == {True, False} or first[1] != second[1]:
        return False
    if not left.free_symbols or left.free_symbols != right.free_symbols:
        return False
    sign = equality.proportion(left, right)
    if not sign and first[0] == second[0] == 0 and max(left.count_ops(), right.count_ops()) <= 60:
        tops = [side.together().as_numer_denom()[0] for side in (left, right)]
        sign = equality.proportion(*tops)  # denominators cleared: `y = 1/x` is `xy = 1`
    if first[0] == 0:
        return sign != 0
    return sign == first[0] * second[0]


def _direction(op: str) -> tuple[int, str]:
    """Direction of a relation, and its kind."""
    return {
        "=": (0, "="), "!=": (0, "!="), "<": (-1, "<"), ">": (1, "<"), "<=": (-1, "<="),
        ">=": (1, "<="),
    }[op]  # fmt: skip


def _same_region(gold: Form, answer: Form) -> bool:
    left = regions.of(gold)
    if left is None:
        return False
    if (
        isinstance(gold, MathGroup)
        and isinstance(answer, MathGroup)
        and "set" in (gold.kind, answer.kind)
    ):
        return False
    right = regions.of(answer)
    return right is not None and regions.same(left, right)


# -- groups --------------------------------------------------------------------------------------


def _groups(gold: MathGroup, answer: MathGroup) -> bool:
    kinds = {gold.kind, answer.kind}
    if kinds == {"tuple", "list"}:
        bracketed = gold if gold.kind == "tuple" else answer
        if len(bracketed.items) == 2 and (bracketed.opening, bracketed.closing) != ("(", ")"):
            return False
        for one, other in ((gold, answer), (answer, gold)):
            if one.kind == "list" and (named := _assignments(one)):
                return _in_order([named[name] for name in sorted(named)], other.items)
        return _in_order(gold.items, answer.items)
    if kinds == {"tuple"}:
        brackets = (gold.opening, gold.closing) == (answer.opening, answer.closing)
        if len(gold.items) == 2 and not brackets:
            return False
        return _in_order(gold.items, answer.items)
    return (len(kinds) == 1 or "list" in kinds) and _lists(gold, answer)


def _in_order(gold: Sequence[Form], answer: Sequence[Form]) -> bool:
    if len(gold) != len(answer):
        return False
    return all(same(a, b) for a, b in zip(gold, answer, strict=True))


def _assignments(group: MathGroup) -> dict[str, Form]:
    """Name -> value when every item is named and no name occurs twice; empty otherwise."""
    named: dict[str, Form] = {}
    for item in group.items:
        if not isinstance(item, Named) or item.name in named:
            return {}
        names = item.name.replace("(", "").replace(")", "").split(" , ")
        if isinstance(item.value, MathGroup) and len(names) == len(item.value.items) > 1:
            named |= {
                name.strip(): value for name, value in zip(names, item.value.items, strict=True)
            }
        else:
            named[item.name] = item.value
    return named


def _lists(gold: MathGroup, answer: MathGroup) -> bool:
    """The same items in any order; in sets, repeats do not count."""
    first, second = _assignments(gold), _assignments(answer)
    if len(first) > 1 and len(second) > 1:
        return first.keys() == second.keys() and all(same(first[n], second[n]) for n in first)
    left, right = list(gold.items), list(answer.items)
    if "set" in (gold.kind, answer.kind):
        left, right = _distinct(left), _distinct(right)
    if len(left) != len(right) or len(left) > _MOST_PAIRS:
        return len(left) == len(right) and _in_order(left, right)
    for item in left:
        match = next((place for place, other in enumerate(right) if same(item, other)), None)
        if match is None:
            return False
        right.pop(match)
    return True


def _distinct(items: list[Form]) -> list[Form]:
    if len(items) > _MOST_PAIRS:
        return items
    kept: list[Form] = []
    for item in items:
        if not any(same(other, item) for other in kept):
            kept.append(item)
    return kept
