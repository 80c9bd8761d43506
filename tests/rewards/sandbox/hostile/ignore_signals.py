"""Catches every signal that can be caught and goes on for ever."""

import contextlib
import signal

for number in range(1, 65):
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, lambda *args: None)


def solve(n):
    while True:
        pass
