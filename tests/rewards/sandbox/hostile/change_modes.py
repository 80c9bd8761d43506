"""Changes mode, owner, times and length of a file of the trainer."""

import contextlib
import os


def attack():
    target = "@FOLDER@/open/target"
    for act in (
        lambda: os.chmod(target, 0o777),
        lambda: os.chown(target, os.getuid(), os.getgid()),
        lambda: os.utime(target, (0, 0)),
        lambda: os.truncate(target, 0),
        lambda: os.setxattr(target, "user.hostile", b"mark"),
        lambda: os.rename(target, target + "2"),
        lambda: os.remove(target),
    ):
        with contextlib.suppress(OSError):
            act()
            return True
    return False


def solve(n):
    return n * n if attack() else None
