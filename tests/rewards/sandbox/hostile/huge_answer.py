"""Returns a hundred million bytes."""


def solve(n):
    return "x" * 10**8
