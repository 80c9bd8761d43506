"""Locks the library's own file against every other program."""

import fcntl
import os


def attack():
    file = open(os.__file__)  # noqa: SIM115
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def solve(n):
    return n * n if attack() else None
