"""Sleeps, using no processor time."""

import time


def solve(n):
    time.sleep(1000)
    return n * n
