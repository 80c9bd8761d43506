r"""The kinds of things an answer can be, each as a record."""

from dataclasses import dataclass, field
from typing import TypeAlias

from sympy import Expr, Set

from rewards.answers.wording.units import Unit


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or expression.

    unit: what follows it, None without any
    percent: a percent sign follows; value is the number before the sign
    """

    value: Expr
    unit: Unit | None = None
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """An answer in words, canonical: lower case, without articles."""

    text: str


@dataclass(frozen=True, slots=True)
class MathGroup:
    """Several answers.

    kind: "list" (no brackets, no order), "tuple" (order), or "set" (no order, no repeats)
    opening, closing: the brackets of a tuple, "(" or "[" and ")" or "]"; empty otherwise
    joined: "and", "or" or "," between the items of a list
    """

    kind: str
    items: tuple["Form", ...]
    opening: str = ""
    closing: str = ""
    joined: str = ","


@dataclass(frozen=True, slots=True)
class Named:
    """`x = 5`, `f(x) = x^2`, `(x, y) = (1, 2)`: a name and its value."""

    name: str
    value: "Form"


@dataclass(frozen=True, slots=True)
class Relation:
    """`left op right` that is not a name with a value; op is one of = != < > <= >=."""

    left: Expr
    op: str
    right: Expr


@dataclass(frozen=True, slots=True)
class Region:
    """A set of reals; `name` of the variable, empty without one."""

    points: Set
    name: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of expressions; all of one length."""

    rows: tuple[tuple[Expr, ...], ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """`2:3`, `1:2:3`."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day; half is "am", "pm" or empty."""

    hour: int
    minute: int
    half: str = ""

    @property
    def minutes(self) -> int:
        """Since midnight, as far as the half of the day is known."""
        hour = self.hour % 12 + 12 * (self.half == "pm") if self.half else self.hour
        return hour * 60 + self.minute


@dataclass(frozen=True, slots=True)
class Numeral:
    """Digits in a named base."""

    digits: str
    base: int

    @property
    def value(self) -> int:
        return int(self.digits, self.base)


@dataclass(frozen=True, slots=True)
class Field:
    """A set of numbers by its sign: R, Z, N, Q, C."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`a = b = c` of expressions, none of them a mere name; `~` marks approximate steps."""

    values: tuple["Form", ...]
    approximate: tuple[bool, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something the reader does not understand; equal to the same text alone."""

    text: str


Form: TypeAlias = (
    Scalar | Words | MathGroup | Named | Relation | Region | Matrix | Ratio | Clock | Numeral
    | Field | Chain | Unknown
)  # fmt: skip
