"""A place in a list of tokens, and the ways to move on from it."""

from rewards.answers.wording.roles import Unread
from rewards.math.parse.tokens import MathToken

_END = MathToken("end", "")


class Cursor:
    """Reads tokens from the left; past the end stands a token of kind "end"."""

    def __init__(self, tokens: list[MathToken]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self, ahead: int = 0) -> MathToken:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else _END

    def is_op(self, *texts: str) -> bool:
        token = self.peek()
        return token.kind == "op" and token.text in texts

    def take(self) -> MathToken:
        token = self.peek()
        if token is _END:
            raise Unread("ends too early")
        self.at += 1
        return token

    def expect(self, kind: str, text: str) -> None:
        token = self.take()
        if (token.kind, token.text) != (kind, text):
            raise Unread(f"expected {text!r}, got {token.text!r}")
