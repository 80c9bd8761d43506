"""Sends a signal to the trainer."""

import os
import signal


def attack():
    os.kill(int("@TRAINER@"), signal.SIGCONT)
    return True


def solve(n):
    return n * n if attack() else None
