"""Makes the machine write a file system to disk."""

import ctypes
import os


def attack():
    file = os.open(".", os.O_RDONLY)
    return ctypes.CDLL(None).syscall(306, file) == 0


def solve(n):
    return n * n if attack() else None
