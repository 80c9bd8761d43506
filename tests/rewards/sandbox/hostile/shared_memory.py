"""Leaves shared memory, a semaphore and a queue behind."""

import ctypes


def attack():
    libc = ctypes.CDLL(None)
    kept = (
        libc.shmget(7357, 4096, 0o1600),
        libc.semget(7357, 1, 0o1600),
        libc.msgget(7357, 0o1600),
    )
    return any(handle >= 0 for handle in kept)


def solve(n):
    return n * n if attack() else None
