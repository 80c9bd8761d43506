"""Computes a number with a hundred million digits, in one uninterruptible step."""


def solve(n):
    return len(str(7 ** (10**8)))
