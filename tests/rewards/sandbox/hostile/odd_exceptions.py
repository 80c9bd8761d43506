"""Raises exceptions whose text raises, exits, or never comes."""

import sys


class Odd(BaseException):
    def __str__(self):
        sys.exit(0)

    def __repr__(self):
        raise KeyboardInterrupt

    @property
    def __class__(self):
        raise GeneratorExit


class Plain(Exception):
    def __init__(self):
        super().__init__("x" * 10**7)


def solve(n):
    raise (Odd() if n % 2 else Plain())
