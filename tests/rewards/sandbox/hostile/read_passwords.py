"""Reads the files of accounts, and those in the home of the account that runs the tests."""

import contextlib
import os


def attack():
    paths = ["/etc/shadow", "/etc/passwd", "/etc/hostname"]
    with contextlib.suppress(OSError):
        paths += [entry.path for entry in os.scandir("@HOME@")]
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.read(1)
            return True
    return False


def solve(n):
    return n * n if attack() else None
