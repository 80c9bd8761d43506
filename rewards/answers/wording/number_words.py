"""Numbers in words: `twenty-one`, `two thirds`, `five hundred`, and the words among them."""

from fractions import Fraction


def word_list(text: str) -> list[str]:
    return text.split()


_SMALL = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
_POWERS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12, "dozen": 12}  # fmt: skip
FACTORS: dict[str, Fraction] = {
    **{word + end: Fraction(size) for word, size in _POWERS.items() for end in ("", "s")},
    **{word + "s": Fraction(1, size) for word, size in _PARTS.items() if word != "quarter"},
    "halves": Fraction(1, 2), "tens": Fraction(10),
}  # fmt: skip
"""Words that multiply the number before them; `5 quarters` are coins as often as parts."""
NUMBER_WORDS = frozenset((*_SMALL, *_TENS, *FACTORS))


def number_from_words(text: str) -> Fraction | None:
    """`twenty-one` -> 21, `two thirds` -> 2/3; None when the words are no number."""
    words = text.lower().replace("-", " ").split()
    if words[:1] in (["negative"], ["minus"]):
        value = number_from_words(" ".join(words[1:]))
        return None if value is None else -value
    part = _PARTS.get(words[-1].removesuffix("s").replace("halve", "half")) if words else None
    if part is not None and len(words) > 1:
        count = number_from_words(" ".join(words[:-1]))
        return None if count is None else count / part
    total, current, seen = 0, 0, False
    for word in words:
        if word in _SMALL:
            current += _SMALL.index(word)
        elif word in _TENS:
            current += 10 * (_TENS.index(word) + 2)
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in ("thousand", "million", "billion"):
            total += max(current, 1) * _POWERS[word]
            current = 0
        elif word != "and" or not seen:
            return None
        seen = True
    return Fraction(total + current) if seen else None
