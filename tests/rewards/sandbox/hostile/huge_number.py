"""Returns a number of a million digits."""


def solve(n):
    return 1 << 4_000_000
