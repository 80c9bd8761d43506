"""Makes files with names that are no text, and of the greatest length."""

import os


def attack():
    os.mkdir(b"\xff\xfe\n\x1b[2J")
    os.close(os.open(b"\xff\xfe\n\x1b[2J/" + b"\xff" * 255, os.O_CREAT))
    return False


def solve(n):
    return n * n if attack() else None
