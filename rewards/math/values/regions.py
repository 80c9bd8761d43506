r"""Sets of reals: intervals, inequalities, unions and complements, as sympy sets with a name."""

from collections.abc import Iterable

import sympy
from sympy import Complement, Expr, FiniteSet, Intersection, Interval, S, Set, Symbol, Union, oo

from rewards.math.values import equality
from rewards.math.values.forms import Field, Form, MathGroup, Named, Region, Relation, Scalar

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_SYMPY = {
    "<": sympy.StrictLessThan, ">": sympy.StrictGreaterThan, "<=": sympy.LessThan,
    ">=": sympy.GreaterThan, "!=": sympy.Unequality, "=": sympy.Equality,
}  # fmt: skip
_MOST_OPERATIONS = 60  # in an inequality that sympy solves


def of(form: Form | None) -> Region | None:
    """The set of reals that a form describes; None when it describes none."""
    if isinstance(form, Region):
        return form
    if isinstance(form, Field):
        return Region(S.Reals) if form.name == "R" else None
    if isinstance(form, Named):
        inner = of(form.value) if not isinstance(form.value, Scalar) else None
        return None if inner is None else Region(inner.points, inner.name or form.name)
    if isinstance(form, Relation):
        return simple(form) or solved(form)
    if not isinstance(form, MathGroup):
        return None
    if form.kind == "list":
        return joined(list(form.items), form.joined)
    values = [item.value for item in form.items if isinstance(item, Scalar)]
    if len(values) != len(form.items) or any(v.is_extended_real is False for v in values):
        return None
    if form.kind == "set":
        return Region(FiniteSet(*values)) if all(v.is_number for v in values) else None
    if len(values) != 2:
        return None
    points = Interval(*values, form.opening == "(", form.closing == ")")
    return Region(points) if isinstance(points, Interval) else None


def simple(relation: Relation) -> Region | None:
    """`x < 3`, `3 >= x`, `x != 2`: a variable alone on one side, a constant on the other."""
    left, op, right = relation.left, relation.op, relation.right
    if right.is_Symbol and not left.free_symbols:
        left, op, right = right, _FLIPPED[op], left
    if not left.is_Symbol or right.free_symbols or op == "=" or right.is_extended_real is False:
        return None
    below, above = Interval(-oo, right, True, "=" not in op), Interval(right, oo, "=" not in op)
    points = {"<": below, "<=": below, ">": above, ">=": above}.get(op, S.Reals - {right})
    return Region(points, left.name)


def solved(relation: Relation) -> Region | None:
    """An inequality in one variable, solved by sympy; None when it cannot be."""
    points, name = _solutions(relation)
    solvable = relation.op != "=" and points is not None and _pieces(points) is not None
    return Region(points, name) if solvable else None


def roots(form: Form) -> MathGroup | None:
    """The real solutions of an equation in one variable, when sympy finds finitely many."""
    points, _ = _solutions(form) if isinstance(form, Relation) and form.op == "=" else (None, "")
    if not isinstance(points, FiniteSet):
        return None
    return MathGroup("set", tuple(Scalar(value) for value in points.args))


def _solutions(relation: Relation) -> tuple[Set | None, str]:
    """The real solutions of a relation in one variable, and the variable."""
    difference = relation.left - relation.right
    if len(difference.free_symbols) != 1 or sympy.count_ops(difference) > _MOST_OPERATIONS:
        return None, ""
    (symbol,) = difference.free_symbols
    real = Symbol(symbol.name, real=True)
    try:
        condition = _SYMPY[relation.op](difference.subs(symbol, real), 0)
        return sympy.solveset(condition, real, S.Reals), symbol.name
    except (NotImplementedError, ValueError, TypeError, RecursionError):
        return None, ""


def joined(forms: list[Form], how: str) -> Region | None:
    """Conditions on one variable, joined by "or", "and" or a comma; None unless all are such."""
    if len(forms) < 2 or not all(isinstance(f, Region | Relation | Named) for f in forms):
        return None
    if all(isinstance(f, Named) for f in forms):
        return None
    if any(isinstance(f, Relation) and f.op == "=" for f in forms):
        return None
    found: list[Region | None] = []
    for form in forms:
        if how == "or" and isinstance(form, Named) and isinstance(form.value, Scalar):
            form = Named(form.name, MathGroup("set", (form.value,)))  # `x = 1` beside conditions
        found.append(of(form))
    names = {region.name for region in found if region is not None}
    if any(region is None for region in found) or len(names - {""}) > 1:
        return None
    sign = "cup" if how == "or" else "cap"
    result = found[0]
    for region in found[1:]:
        result = combine(result, sign, region)
    if how == "," and result is not None and result.points is S.EmptySet:
        return joined(forms, "or")
    return result


def combine(left: Region | None, sign: str, right: Region | None) -> Region | None:
    """Union ("cup"), intersection ("cap") or difference ("minus")."""
    if left is None or right is None:
        return None
    operation = {"cup": Union, "cap": Intersection, "minus": Complement}[sign]
    return Region(operation(left.points, right.points), left.name or right.name)


def united(forms: Iterable[Form]) -> Region | None:
    """The union of intervals that are listed; None when something else is."""
    whole: Region | None = Region(S.EmptySet)
    for form in forms:
        whole = combine(whole, "cup", of(form) if isinstance(form, MathGroup) else None)
    return whole


def complement(region: Region | None) -> Region | None:
    """The reals outside of it."""
    return combine(Region(S.Reals), "minus", region)


def _pieces(points: Set) -> list[tuple[Expr, Expr, bool, bool]] | None:
    """Ends of each interval and point, with whether they are open; None for any other set."""
    pieces = []
    for part in points.args if isinstance(points, Union) else (points,):
        if isinstance(part, FiniteSet):
            pieces += [(point, point, False, False) for point in part.args]
        elif isinstance(part, Interval) or part is S.Reals:
            ends = (part.inf, part.sup, bool(part.left_open), bool(part.right_open))
            pieces.append(ends)
        elif part is not S.EmptySet:
            return None
    return pieces


def same(left: Region, right: Region) -> bool:
    """Whether two regions are the same set (and, where both name it, of the same variable)."""
    if left.name and right.name and left.name != right.name:
        return False
    first, second = _pieces(left.points), _pieces(right.points)
    if first is None or second is None or len(first) != len(second):
        return bool(left.points == right.points)
    for low, high, *open_ends in first:
        for place, (other_low, other_high, *others) in enumerate(second):
            equal_ends = equality.equal(low, other_low) and equality.equal(high, other_high)
            if open_ends == others and equal_ends:
                second.pop(place)
                break
        else:
            return False
    return True
