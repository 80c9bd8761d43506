"""Returns an iterator without an end."""

import itertools


def solve(n):
    return itertools.repeat(n * n)
