"""Ignores the signal that its time is up, and computes on."""

import signal
import time


def attack():
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    while time.process_time() < 2.6:
        pass
    return True


def solve(n):
    return n * n if attack() else None
