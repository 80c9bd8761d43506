"""Makes a device file and reads it."""

import os


def attack():
    os.mknod("device", 0o020600, os.makedev(1, 9))
    with open("device", "rb") as file:
        return bool(file.read(1))


def solve(n):
    return n * n if attack() else None
