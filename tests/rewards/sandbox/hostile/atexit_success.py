"""Prints success, and hangs, on its way out."""

import atexit
import time


@atexit.register
def leave():
    print("OK", flush=True)
    time.sleep(1000)


class Last:
    def __del__(self):
        time.sleep(1000)


last = Last()


def solve(n):
    raise SystemExit(0)
