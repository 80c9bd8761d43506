"""Changes the interpreter's library for the programs after it."""

import contextlib
import json
import os


def attack():
    for path in (json.__file__, os.__file__):
        with contextlib.suppress(OSError), open(path, "r+") as file:
            return file.writable() and os.path.isabs(path)
    return False


def solve(n):
    return n * n if attack() else None
