"""Makes twenty thousand folders."""

import os


def attack():
    for number in range(20_000):
        os.mkdir(f"d{number}")
    return True


def solve(n):
    return n * n if attack() else None
