r"""What follows a number: units with a size, currencies, number words, and plain nouns."""

from dataclasses import dataclass, field
from fractions import Fraction

from rewards.answers.hedging import AFTER
from rewards.answers.words import word_list

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
NUMBER_WORDS: dict[str, int | Fraction] = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "dozen": 12, "halves": Fraction(1, 2), "thirds": Fraction(1, 3), "fifths": Fraction(1, 5),
    "sixths": Fraction(1, 6), "eighths": Fraction(1, 8), "tenths": Fraction(1, 10),
    "hundredths": Fraction(1, 100), "thousandths": Fraction(1, 1000),
}  # fmt: skip
NEUTRAL = frozenset({"unit", "units"})
_SMALL = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with dimensions, or a noun without any.

    dimensions: such as {"length": 2}; empty for a noun, "things counted"
    factor: size in the base unit of the dimensions
    """

    dimensions: tuple[tuple[str, int], ...] = ()
    factor: Fraction = Fraction(1)
    noun: str = field(default="", compare=False)

    @property
    def counts_things(self) -> bool:
        return not self.dimensions

    def is_like(self, other: "Unit") -> bool:
        return self.dimensions == other.dimensions


def _table() -> dict[str, tuple[str, Fraction]]:
    names: dict[str, tuple[str, Fraction]] = {}
    for line in _TABLE.strip().split("\n"):
        dimension, name, size, *others = line.split()
        for word in (name, *others):
            if word not in _NOT_UNITS:
                names[word] = (dimension, Fraction(size))
    return names


_UNITS = _table()
_SINGLE = frozenset("mgsLlhNJWVKA")


def is_unit_word(word: str) -> bool:
    """Whether `word`, as written, names a unit with a size."""
    return _lookup(word) is not None


def _lookup(word: str) -> tuple[str, Fraction] | None:
    if word in _UNITS:
        return _UNITS[word]
    if len(word) <= 2:
        return None
    low = word.lower()
    for form in (low, low.removesuffix("s"), low.removesuffix("es")):
        if form in _UNITS and len(form) > 1:
            return _UNITS[form]
    return None


def is_letter_unit(letter: str) -> bool:
    """Whether a single letter after a gap may be a unit: `5 m`."""
    return letter in _SINGLE


def money(currency: str) -> Unit:
    return Unit(((f"money:{currency}", 1),))


def degrees() -> Unit:
    return Unit((("angle", 1),))


def read_unit(parts: list[str]) -> Unit | None:
    """The unit that the words and signs after a number name; None when they name none.

    parts: lower- and upper-case words, "/", "*", "^" and exponents as written. Words after a known
    unit are ignored; words that leave a choice make it None.
    """
    if _blocked([part.lower() for part in parts]):
        return None
    if parts[:1] == ["in"] and parts[1:2] in ([], ["^"]):
        parts = ["inch", *parts[1:]]
    dimensions: dict[str, int] = {}
    factor = Fraction(1)
    sign, power, found, place = 1, 1, False, 0
    while place < len(parts):
        part = parts[place]
        low = part.lower()
        if part == "/" or low == "per":
            sign = -1
        elif part == "*":
            pass
        elif low in ("square", "sq", "cubic", "cu"):
            power = 2 if low.startswith("sq") else 3
        elif (known := _lookup(part)) is not None:
            place, exponent = _exponent(parts, place)
            name, size = known
            exponent = (exponent or power) * sign
            for base, times in _DERIVED.get(name, {name: 1}).items():
                dimensions[base] = dimensions.get(base, 0) + exponent * times
            factor *= size**exponent
            found, power = True, 1
        elif part == "^" and place:
            place += 1  # the power of a noun
        elif part == "^" or part.isdigit():
            return None
        elif found:
            break
        place += 1
    if not found:
        words = [part for part in parts if part.isalpha() or "-" in part]
        return Unit(noun=" ".join(words)) if words and len(words) <= 12 else None
    kept = tuple(sorted((name, power) for name, power in dimensions.items() if power))
    return Unit(kept, factor, " ".join(parts))


def _blocked(words: list[str]) -> bool:
    """Whether words change the number or leave a choice: `5 squared`, but not `5 m squared`."""
    for place, word in enumerate(words):
        after = words[place + 1 : place + 2]
        power = word in ("squared", "cubed") and place and _lookup(words[place - 1]) is not None
        left_over = word == "over" and words[place - 1 : place] == ["left"]
        if word in AFTER and not power and not left_over:
            return True
        if word == "than" and (not after or len(after[0]) < 3):
            return True
    return False


def _exponent(parts: list[str], place: int) -> tuple[int, int]:
    """The place of the last part used, and the exponent after `parts[place]` (0 for none)."""
    following = parts[place + 1 : place + 3]
    if following[:1] == ["^"] and len(following) == 2 and following[1].lstrip("-").isdigit():
        return place + 2, int(following[1])
    if following[:1] in (["squared"], ["cubed"]):
        return place + 1, 2 if following[0] == "squared" else 3
    return place, 0


_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip


def number_from_words(text: str) -> Fraction | None:
    """`twenty-one` -> 21, `two thirds` -> 2/3; None when the words are no number."""
    words = text.lower().replace("-", " ").split()
    if words[:1] in (["negative"], ["minus"]):
        value = number_from_words(" ".join(words[1:]))
        return None if value is None else -value
    part = _PARTS.get(words[-1].removesuffix("s").replace("halve", "half")) if words else None
    if part is None or len(words) == 1:
        whole = _whole_from_words(text)
        return None if whole is None else Fraction(whole)
    count = _whole_from_words(" ".join(words[:-1]))
    return None if count is None else Fraction(count, part)


def _whole_from_words(text: str) -> int | None:
    total, current, seen = 0, 0, False
    for word in text.lower().replace("-", " ").split():
        if word == "and" and seen:
            continue
        if word in _SMALL:
            current += _SMALL.index(word)
        elif word in _TENS:
            current += 10 * (_TENS.index(word) + 2)
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in ("thousand", "million", "billion"):
            total += max(current, 1) * int(NUMBER_WORDS[word])
            current = 0
        else:
            return None
        seen = True
    return total + current if seen else None
