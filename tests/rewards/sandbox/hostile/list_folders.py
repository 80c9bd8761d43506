"""Lists folders of the machine."""

import contextlib
import os


def attack():
    for path in ("@FOLDER@", "/home", "/var", "/etc", "/proc"):
        with contextlib.suppress(OSError):
            if len(os.listdir(path)) > 1:
                return True
    return False


def solve(n):
    return n * n if attack() else None
