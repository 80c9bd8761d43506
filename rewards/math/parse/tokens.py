r"""What the text of an answer is made of: tokens, and what becomes of neighbours."""

from dataclasses import dataclass, replace
from fractions import Fraction

from rewards.answers.wording.roles import Unread


@dataclass(frozen=True, slots=True)
class MathToken:
    """One token.

    kind: num, sym, word, func, cmd, op, rel, open, close, sep, bar, setop, in, inf, empty, field,
        deg, pct, money, dots, arrow, row, amp, begin, end, or other
    text: canonical spelling; for open and close the kind of bracket
    value: of a num
    gap: white space before it
    roman: it stood in a text command
    """

    kind: str
    text: str
    value: Fraction = Fraction(0)
    gap: bool = False
    roman: bool = False


def spelling(tokens: list[MathToken]) -> str:
    """Canonical text of tokens: equal texts are equal answers."""
    return " ".join(f"{t.text}" for t in tokens)


def merged(tokens: list[MathToken]) -> list[MathToken]:
    """Degrees (`^\\circ`), subscripts (`x_{1}`) and primes become part of what they follow."""
    out: list[MathToken] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        texts = [t.text for t in tokens[place + 1 : place + 4]]
        if token.text == "^" and texts[:1] == ["circ"]:
            out.append(MathToken("deg", "deg"))
            place += 2
        elif token.text == "^" and texts == ["{", "circ", "{"]:
            out.append(MathToken("deg", "deg"))
            place += 4
        elif token.text == "not" and token.kind == "cmd" and texts[:1] in (["="], ["in"]):
            out.append(replace(tokens[place + 1], text={"=": "!=", "in": "notin"}[texts[0]]))
            place += 2
        elif token.text == "^" and texts[:1] == ["'"]:
            place += 1
        elif token.text == "'" and out and out[-1].kind == "sym":
            out[-1] = replace(out[-1], text=out[-1].text + "'")
            place += 1
        elif token.text == "_" and token.kind == "op" and out and out[-1].kind == "sym":
            start, place = place + 1, group_end(tokens, place + 1)
            inside = tokens[start + 1 : place - 1] if place > start + 1 else tokens[start:place]
            index = "".join(t.text for t in inside)
            out[-1] = replace(out[-1], text=f"{out[-1].text}_{index}")
        else:
            out.append(token)
            place += 1
    return out


def group_end(tokens: list[MathToken], place: int) -> int:
    """The place after the `{...}` that opens at `place`, or after the one token there."""
    depth = 0
    for end in range(place, len(tokens)):
        if tokens[end].text == "{":
            depth += 1 if tokens[end].kind == "open" else -1
        if depth == 0:
            return end + 1
    raise Unread("ends too early")
