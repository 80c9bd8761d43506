"""Mounts a file system, and leaves its root folder."""

import contextlib
import ctypes
import os


def attack():
    libc = ctypes.CDLL(None)
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
        return True
    with contextlib.suppress(OSError):
        os.chroot(".")
        return True
    return False


def solve(n):
    return n * n if attack() else None
