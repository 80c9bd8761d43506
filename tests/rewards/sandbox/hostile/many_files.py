"""Makes twenty thousand empty files."""

import os


def attack():
    for number in range(20_000):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
    return True


def solve(n):
    return n * n if attack() else None
