"""Kills its process group."""

import os
import signal


def attack():
    os.killpg(0, signal.SIGKILL)
    return True


def solve(n):
    return n * n if attack() else None
