"""Leaves a folder that is hard to remove: deep, closed, with odd names and links."""

import contextlib
import os

for name in ("a\nb", "-rf", "\u2028", "x" * 200, "\udcff"):
    with contextlib.suppress(OSError, UnicodeError), open(name, "w") as file:
        file.write("odd")
with contextlib.suppress(OSError):
    os.symlink("@FOLDER@", "link")
with contextlib.suppress(OSError):
    for _ in range(3000):
        os.mkdir("d", 0o700)
        os.chdir("d")
    os.mkdir("closed", 0)


def solve(n):
    return None
