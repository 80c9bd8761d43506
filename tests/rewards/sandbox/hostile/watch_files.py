"""Asks to be told what others do in a folder."""

import ctypes


def attack():
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(0)
    return watch >= 0 and libc.inotify_add_watch(watch, b"@FOLDER@", 0xFFF) >= 0


def solve(n):
    return n * n if attack() else None
