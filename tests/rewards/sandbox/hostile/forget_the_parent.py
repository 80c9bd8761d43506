"""Asks not to be killed with its parent."""

import ctypes


def attack():
    return ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0


def solve(n):
    return n * n if attack() else None
