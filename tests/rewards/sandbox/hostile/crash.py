"""Crashes the interpreter."""

import ctypes


def solve(n):
    return ctypes.string_at(0)
