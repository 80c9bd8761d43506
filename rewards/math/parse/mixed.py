r"""Mixed numbers: `2\frac{1}{2}`, `2\frac12`, `2 1/2`."""

from sympy import Expr, Rational

from rewards.math.parse.cursor import Cursor
from rewards.math.parse.tokens import MathToken


def mixed_number(tokens: list[MathToken], at: int) -> tuple[Expr, int] | None:
    """A whole number before a proper fraction of whole numbers, and the place after it."""
    reader = _Reader(tokens)
    reader.at = at
    whole = reader.digits()
    fraction = None if whole is None else reader.fraction()
    if whole is None or fraction is None or not 0 < fraction[0] < fraction[1]:
        return None
    return Rational(whole) + Rational(*fraction), reader.at


class _Reader(Cursor):
    def digits(self) -> int | None:
        token = self.peek()
        if token.kind != "num" or not token.text.isdigit():
            return None
        self.at += 1
        return int(token.text)

    def fraction(self) -> tuple[int, int] | None:
        """Above and below the line; None when it is none, or not of digits alone."""
        command = self.peek().kind == "cmd" and self.peek().text == "frac"
        if not command and not self.peek().gap:
            return None
        self.at += command
        if command and self.peek().kind == "num" and len(self.peek().text) == 2:
            both = str(self.digits() or "")
            return (int(both[0]), int(both[1])) if len(both) == 2 else None
        above = self._argument() if command else self.digits()
        if not command and self.peek().text == "/":
            self.at += 1
        elif not command:
            return None
        below = self._argument() if command else self.digits()
        return None if above is None or below is None else (above, below)

    def _argument(self) -> int | None:
        """Digits in braces, or one digit without."""
        if self.peek().text != "{":
            return self.digits() if len(self.peek().text) == 1 else None
        self.at += 1
        value = self.digits()
        closed = self.peek().kind == "close" and self.peek().text == "{"
        self.at += closed
        return value if closed else None
