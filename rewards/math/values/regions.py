r"""Sets of reals: intervals, inequalities, unions and complements as rising disjoint pieces."""

from collections.abc import Sequence

import sympy
from sympy import Expr, Symbol, oo

from rewards.math.values import evaluate
from rewards.math.values.evaluate import NotNumeric
from rewards.math.values.forms import Field, Form, MathGroup, Named, Piece, Region, Relation, Scalar

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_REALS = (Piece(-oo, oo, True, True),)
_SYMPY = {
    "<": sympy.StrictLessThan, ">": sympy.StrictGreaterThan, "<=": sympy.LessThan,
    ">=": sympy.GreaterThan, "!=": sympy.Unequality, "=": sympy.Equality,
}  # fmt: skip


def of(form: Form | None) -> Region | None:
    """The set of reals that a form describes; None when it describes none."""
    if isinstance(form, Region):
        return form
    if isinstance(form, Field):
        return Region(_REALS) if form.name == "R" else None
    if isinstance(form, Named):
        inner = of(form.value) if not isinstance(form.value, Scalar) else None
        return None if inner is None else Region(inner.pieces, inner.name or form.name)
    if isinstance(form, Relation):
        return simple(form) or solved(form)
    if isinstance(form, MathGroup):
        return _of_group(form)
    return None


def _of_group(group: MathGroup) -> Region | None:
    if group.kind == "set":
        points = [item.value for item in group.items if isinstance(item, Scalar)]
        if len(points) != len(group.items) or not all(p.is_number for p in points):
            return None
        return Region(_merged([Piece(p, p, False, False) for p in points]))
    if group.kind == "tuple" and len(group.items) == 2:
        low, high = group.items
        if isinstance(low, Scalar) and isinstance(high, Scalar) and _ordered(low.value, high.value):
            piece = Piece(low.value, high.value, group.opening == "(", group.closing == ")")
            return Region((piece,))
    return joined(list(group.items), group.joined) if group.kind == "list" else None


def _ordered(low: Expr, high: Expr) -> bool:
    """low < high, as far as it can be told; symbolic ends are taken as written."""
    if low.free_symbols or high.free_symbols:
        return True
    return _sign(high - low) > 0


def _sign(number: Expr) -> int:
    if number in (oo, -oo):
        return 1 if number == oo else -1
    if number.is_Rational:
        return int(sympy.sign(number))
    if evaluate.equal(number, sympy.Integer(0)):
        return 0
    try:
        return 1 if evaluate.is_positive(number) else -1
    except NotNumeric:
        return 0


def simple(relation: Relation) -> Region | None:
    """`x < 3`, `3 >= x`, `x != 2`: a variable alone on one side, a constant on the other."""
    left, op, right = relation.left, relation.op, relation.right
    if right.is_Symbol and not left.free_symbols:
        left, op, right = right, _FLIPPED[op], left
    if not left.is_Symbol or right.free_symbols or op == "=":
        return None
    pieces = {
        "<": (Piece(-oo, right, True, True),), "<=": (Piece(-oo, right, True, False),),
        ">": (Piece(right, oo, True, True),), ">=": (Piece(right, oo, False, True),),
        "!=": (Piece(-oo, right, True, True), Piece(right, oo, True, True)),
    }  # fmt: skip
    return Region(pieces[op], left.name)


def solved(relation: Relation) -> Region | None:
    """An inequality in one variable, solved by sympy; None when it cannot be."""
    difference = relation.left - relation.right
    symbols = difference.free_symbols
    if len(symbols) != 1 or relation.op == "=" or sympy.count_ops(difference) > 60:
        return None
    (symbol,) = symbols
    real = Symbol(symbol.name, real=True)
    try:
        condition = _SYMPY[relation.op](difference.subs(symbol, real), 0)
        found = sympy.solveset(condition, real, sympy.S.Reals)
    except (NotImplementedError, ValueError, TypeError, RecursionError):
        return None
    return _of_sympy(found, symbol.name)


def roots(form: Form) -> MathGroup | None:
    """The real solutions of an equation in one variable, when sympy finds finitely many."""
    if not isinstance(form, Relation) or form.op != "=":
        return None
    difference = form.left - form.right
    if len(difference.free_symbols) != 1 or difference.count_ops() > 40:
        return None
    (symbol,) = difference.free_symbols
    real = Symbol(symbol.name, real=True)
    try:
        found = sympy.solveset(difference.subs(symbol, real), real, sympy.S.Reals)
    except (NotImplementedError, ValueError, TypeError, RecursionError):
        return None
    if not isinstance(found, sympy.FiniteSet):
        return None
    return MathGroup("set", tuple(Scalar(value) for value in found.args))


def _of_sympy(found: sympy.Set, name: str) -> Region | None:
    parts = found.args if isinstance(found, sympy.Union) else (found,)
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, sympy.Interval):
            pieces.append(Piece(part.start, part.end, bool(part.left_open), bool(part.right_open)))
        elif isinstance(part, sympy.FiniteSet):
            pieces.extend(Piece(point, point, False, False) for point in part.args)
        elif part is sympy.S.Reals:
            pieces.extend(_REALS)
        else:
            return None
    return Region(_merged(pieces), name)


def joined(forms: list[Form], how: str) -> Region | None:
    """Conditions on one variable, joined by "or", "and" or a comma; None unless all are such."""
    if len(forms) < 2 or not all(isinstance(f, Region | Relation | Named) for f in forms):
        return None
    if all(isinstance(f, Named) for f in forms):
        return None
    if any(isinstance(f, Relation) and f.op == "=" for f in forms):
        return None
    found = [_point(form) if how == "or" else of(form) for form in forms]
    names = {region.name for region in found if region is not None}
    if any(region is None for region in found) or len(names - {""}) > 1:
        return None
    sign = "cup" if how == "or" else "cap"
    result = found[0]
    for region in found[1:]:
        result = combine(result, sign, region)
    if how == "," and result is not None and not result.pieces:
        return joined(forms, "or")
    return result


def _point(form: Form) -> Region | None:
    """`x = 1` beside conditions on x."""
    if isinstance(form, Named) and isinstance(form.value, Scalar) and form.value.value.is_number:
        point = form.value.value
        return Region((Piece(point, point, False, False),), form.name)
    return of(form)


def combine(left: Region | None, sign: str, right: Region | None) -> Region | None:
    """Union ("cup"), intersection ("cap") or difference ("minus")."""
    if left is None or right is None:
        return None
    name = left.name or right.name
    if sign == "cup":
        return Region(_merged([*left.pieces, *right.pieces]), name)
    if sign == "minus":
        outside = complement(right)
        return None if outside is None else combine(left, "cap", outside)
    pieces = [
        piece for a in left.pieces for b in right.pieces if (piece := _overlap(a, b)) is not None
    ]
    return Region(_merged(pieces), name)


def united(forms: Sequence[Form]) -> Region | None:
    """The union of intervals that are listed; None when something else is."""
    whole: Region | None = Region(())
    for form in forms:
        whole = combine(whole, "cup", of(form) if isinstance(form, MathGroup) else None)
    return whole


def complement(region: Region | None) -> Region | None:
    """The reals outside of it."""
    if region is None:
        return None
    pieces: list[Piece] = []
    low, low_open = -oo, True
    for piece in _merged(list(region.pieces)):
        if _sign(piece.low - low if low != -oo else oo) > 0 and piece.low != -oo:
            pieces.append(Piece(low, piece.low, low_open, not piece.low_open))
        low, low_open = piece.high, not piece.high_open
    if low != oo:
        pieces.append(Piece(low, oo, low_open, True))
    return Region(tuple(pieces), region.name)


def _difference(first: Expr, second: Expr) -> int:
    """Sign of first - second, infinities included."""
    if first == second:
        return 0
    if first == oo or second == -oo:
        return 1
    if first == -oo or second == oo:
        return -1
    return _sign(first - second)


def _overlap(a: Piece, b: Piece) -> Piece | None:
    low_side, high_side = _difference(a.low, b.low), _difference(a.high, b.high)
    low = a.low if low_side >= 0 else b.low
    low_open = {1: a.low_open, -1: b.low_open}.get(low_side, a.low_open or b.low_open)
    high = a.high if high_side <= 0 else b.high
    high_open = {-1: a.high_open, 1: b.high_open}.get(high_side, a.high_open or b.high_open)
    span = _difference(high, low)
    if span < 0 or (span == 0 and (low_open or high_open)):
        return None
    return Piece(low, high, low_open, high_open)


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Sorted, overlapping and touching pieces made one; symbolic ends are left as they are."""
    if any(p.low.free_symbols or p.high.free_symbols for p in pieces):
        return tuple(pieces)
    merged: list[Piece] = []
    for piece in sorted(pieces, key=_start):
        if merged and _touches(merged[-1], piece):
            last = merged.pop()
            side = _difference(last.high, piece.high)
            high = last.high if side >= 0 else piece.high
            high_open = {1: last.high_open, -1: piece.high_open}.get(
                side, last.high_open and piece.high_open
            )
            same_low = _difference(last.low, piece.low) == 0
            low_open = last.low_open and (piece.low_open or not same_low)
            merged.append(Piece(last.low, high, low_open, high_open))
        else:
            merged.append(piece)
    return tuple(merged)


def _start(piece: Piece) -> tuple[float, bool]:
    if piece.low in (oo, -oo):
        return (float("inf") if piece.low == oo else float("-inf"), piece.low_open)
    try:
        return float(evaluate.value_of(piece.low).real), piece.low_open
    except (NotNumeric, OverflowError):
        return float("inf"), piece.low_open


def _touches(first: Piece, second: Piece) -> bool:
    side = _difference(first.high, second.low)
    return side > 0 or (side == 0 and not (first.high_open and second.low_open))


def same(left: Region, right: Region) -> bool:
    """Whether two regions are the same set (and, where both name it, of the same variable)."""
    if left.name and right.name and left.name != right.name:
        return False
    if len(left.pieces) != len(right.pieces):
        return False
    return all(
        a.low_open == b.low_open
        and a.high_open == b.high_open
        and evaluate.equal(a.low, b.low)
        and evaluate.equal(a.high, b.high)
        for a, b in zip(left.pieces, right.pieces, strict=True)
    )
