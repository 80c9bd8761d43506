"""Uses memory that no limit counts."""

import os


def attack():
    return os.memfd_create("hostile") >= 0


def solve(n):
    return n * n if attack() else None
