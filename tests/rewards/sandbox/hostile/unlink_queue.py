"""Removes a message queue of the trainer by its name."""

import ctypes


def attack():
    return ctypes.CDLL(None).mq_unlink(b"/hostile-@PORT@") == 0


def solve(n):
    return n * n if attack() else None
