"""Opens a new pair of terminals and makes one its own."""

import os
import pty


def attack():
    _, two = pty.openpty()
    return os.isatty(two)


def solve(n):
    return n * n if attack() else None
