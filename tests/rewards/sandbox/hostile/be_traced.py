"""Asks to be traced, which another process could use to take it over."""

import ctypes


def attack():
    return ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0


def solve(n):
    return n * n if attack() else None
