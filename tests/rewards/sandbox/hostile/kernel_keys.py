"""Leaves a key with the kernel."""

import ctypes
import platform


def attack():
    number = {"x86_64": 248, "aarch64": 217}[platform.machine()]
    libc = ctypes.CDLL(None)
    return libc.syscall(number, b"user", b"hostile", b"mark", 4, -3) >= 0


def solve(n):
    return n * n if attack() else None
