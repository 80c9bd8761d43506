"""Makes a hundred thousand folders."""

import os


def attack():
    for number in range(100_000):
        os.mkdir(f"d{number}")
    return True


def solve(n):
    return n * n if attack() else None
