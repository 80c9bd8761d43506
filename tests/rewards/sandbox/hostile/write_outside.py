"""Writes in every place where programs like to write."""

import contextlib


def attack():
    places = ("@FOLDER@/open", "/var/tmp", "/etc", "/root", "/usr/lib", "/dev", "/", "/run", "/opt")
    for place in places:
        with contextlib.suppress(OSError), open(f"{place}/hostile-mark", "w") as file:
            file.write("mark")
            return True
    return False


def solve(n):
    return n * n if attack() else None
