"""Makes a named pipe, where a reader would wait for ever."""

import os


def attack():
    os.mkfifo("pipe")
    return True


def solve(n):
    return n * n if attack() else None
