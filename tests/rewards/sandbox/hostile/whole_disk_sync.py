"""Makes the machine write all its files to disk."""

import ctypes


def attack():
    return ctypes.CDLL(None).syscall(162) == 0


def solve(n):
    return n * n if attack() else None
