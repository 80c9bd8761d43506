r"""Units after a number: names with a dimension and a size, currencies, and things counted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rewards.answers.wording.roles import Unread, check_label

_TABLE = """
length  mm 1/1000 millimeter millimetre
length  cm 1/100 centimeter centimetre
length  dm 1/10 decimeter decimetre
length  m 1 meter metre
length  km 1000 kilometer kilometre
length  inch 127/5000 inches
length  ft 381/1250 foot feet
length  yd 1143/1250 yard
length  mi 201168/125 mile
mass    mg 1/1000000 milligram
mass    g 1/1000 gram gm gramme
mass    kg 1 kilogram kilo
mass    lb 45359237/100000000 pound_mass lbs
mass    oz 45359237/1600000000 ounce
time    ms 1/1000 millisecond
time    s 1 second sec
time    min 60 minute
time    h 3600 hour hr
time    day 86400
time    week 604800
month   month 1
month   year 12 yr
volume  mL 1/1000000 ml milliliter millilitre
volume  L 1/1000 l liter litre
liquid  gallon 1 gal
liquid  cup 1/16
liquid  pint 1/8
liquid  quart 1/4
angle   deg 1 degree
radian  rad 1 radian
speed   mph 1397/3125
speed   kph 5/18 kmh kmph
temp    celsius 1
tempf   fahrenheit 1
tempk   K 1 kelvin
force   N 1 newton
energy  J 1 joule
energy  kJ 1000 kilojoule
power   W 1 watt
power   kW 1000 kilowatt
charge  coulomb 1
voltage V 1 volt
current A 1 amp ampere
resist  ohm 1
freq    Hz 1 hertz
press   Pa 1 pascal
area    acre 316160658/78125
area    hectare 10000
amount  mol 1
money:usd dollar 1 usd buck
money:usd cent 1/100 cents \u00a2
money:usd quarter 1/4
money:usd dime 1/10
money:usd nickel 1/20
money:eur euro 1 eur
money:gbp gbp 1 pounds_sterling
money:inr rupee 1 rs inr
money:jpy yen 1 jpy
"""
_DERIVED = {
    "area": {"length": 2}, "volume": {"length": 3}, "speed": {"length": 1, "time": -1},
}  # fmt: skip
_NOT_UNITS = frozenset({"quarter", "dime", "nickel"})  # things to count as often as amounts
_POWER_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWER_AFTER = {"squared": 2, "cubed": 3}
_SINGLE = frozenset("mgsLlhNJWVKA")
_DIGITS = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with dimensions, or a noun without any.

    dimensions: such as {"length": 2}; empty for a noun, "things counted"
    factor: size in the base unit of the dimensions
    """

    dimensions: tuple[tuple[str, int], ...] = ()
    factor: Fraction = Fraction(1)

    @property
    def counts_things(self) -> bool:
        return not self.dimensions

    def is_like(self, other: "Unit") -> bool:
        return self.dimensions == other.dimensions


_UNITS: dict[str, tuple[str, Fraction]] = {"unit": ("", Fraction(1))}
for _line in _TABLE.strip().split("\n"):
    _dimension, _name, _size, *_others = _line.split()
    _UNITS |= {
        word: (_dimension, Fraction(_size)) for word in (_name, *_others) if word not in _NOT_UNITS
    }


def is_unit_word(word: str) -> bool:
    """Whether `word`, as written, names a unit with a size."""
    return word.lower() not in ("unit", "units") and _lookup(word) is not None


def _lookup(word: str) -> tuple[str, Fraction] | None:
    if word in _UNITS or len(word) <= 2:
        return _UNITS.get(word)
    low = word.lower()
    forms = (low, low.removesuffix("s"), low.removesuffix("es"))
    return next((_UNITS[form] for form in forms if form in _UNITS and len(form) > 1), None)


def is_letter_unit(letter: str) -> bool:
    """Whether a single letter after a gap may be a unit: `5 m`."""
    return letter in _SINGLE


def money(currency: str) -> Unit:
    return Unit(((f"money:{currency}", 1),))


def degrees() -> Unit:
    return Unit((("angle", 1),))


def read_unit(parts: Sequence[str], *, one: bool = False, counted: bool = False) -> Unit:
    """The unit, or the things counted, that the words and signs after a number name.

    parts: lower- and upper-case words, "/", "*", "^" and exponents as written
    one: whether the number is 1, so that the thing counted need not be in the plural
    counted: whether a currency sign is before the number
    """
    if parts[0] == "in" and parts[1:2] in ([], ["^"]):
        parts = ["inch", *parts[1:]]
    dimensions: dict[str, int] = {}
    factor = Fraction(1)
    sign, power, place, read = 1, 1, 0, 0
    while place < len(parts):
        part = parts[place].lower()
        place += 1
        if part in ("/", "per"):
            sign = -1
        elif part in _POWER_BEFORE:
            power = _POWER_BEFORE[part]
        elif (known := _lookup(parts[place - 1])) is not None:
            following = parts[place : place + 2]
            if len(following) == 2 and following[0] == "^" and _DIGITS.fullmatch(following[1]):
                power, place = int(following[1]), place + 2
            elif following and following[0] in _POWER_AFTER:
                power, place = _POWER_AFTER[following[0]], place + 1
            dimension, size = known
            for base, times in _DERIVED.get(dimension, {dimension: 1} if dimension else {}).items():
                dimensions[base] = dimensions.get(base, 0) + power * sign * times
            factor *= size ** (power * sign)
            power, read = 1, place
        elif part != "*" and not (part == "more" and place == 1):
            break
    rest = ["per" if part == "/" else part for part in parts[read:]]
    if any(not part[0].isalpha() for part in rest):
        raise Unread(f"{' '.join(rest)!r} after a number")
    if rest:
        check_label(" ".join(rest), one=one, counted=counted or read > 0)
    kept = tuple(sorted((name, power) for name, power in dimensions.items() if power))
    return Unit(kept, factor)
