"""Answers with values that mean something to the interpreter."""

ANSWERS = iter([NotImplemented, ..., StopIteration])


def solve(n):
    return next(ANSWERS)
