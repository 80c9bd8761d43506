"""Reads the files of accounts."""

import contextlib


def attack():
    for path in ("/etc/shadow", "/etc/passwd", "/root/.bashrc", "/etc/hostname"):
        with contextlib.suppress(OSError), open(path) as file:
            file.read()
            return True
    return False


def solve(n):
    return n * n if attack() else None
