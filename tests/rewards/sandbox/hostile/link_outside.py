"""Writes through links that it made in its own folder."""

import contextlib
import os


def attack():
    for name, make in (("soft", os.symlink), ("hard", os.link)):
        with contextlib.suppress(OSError):
            make("@FOLDER@/open/target", name)
            with open(name, "a") as file:
                file.write("mark")
            return True
    return False


def solve(n):
    return n * n if attack() else None
