"""Changes a mode through a call that is newer than the filter."""

import ctypes


def attack():
    open("mine", "w").close()
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(452, -100, b"@FOLDER@/open/target", 0o777, 0) == 0


def solve(n):
    return n * n if attack() else None
