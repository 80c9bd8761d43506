"""Answers with an iterator that hangs when it is read."""

import time


def solve(n):
    while True:
        yield n
        time.sleep(0.05)
