"""Lets the interpreter's own C code run for ever."""

import re


def solve(n):
    return re.match(r"(a*)*b", "a" * 64)
