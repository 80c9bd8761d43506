"""Reads the trainer's environment, and that of the processes between."""

import contextlib


def attack():
    for process in (int("@TRAINER@"), 1, 2, "self", "thread-self"):
        with contextlib.suppress(OSError), open(f"/proc/{process}/environ") as file:
            if "HOSTILE_SECRET" in file.read():
                return True
    return False


def solve(n):
    return n * n if attack() else None
