"""Locks memory against being swapped out."""

import ctypes


def attack():
    libc = ctypes.CDLL(None)
    memory = ctypes.create_string_buffer(1 << 22)
    return libc.mlock(memory, 1 << 22) == 0


def solve(n):
    return n * n if attack() else None
