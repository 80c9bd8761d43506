"""Asks for memory until there is no more."""


def solve(n):
    held = []
    while True:
        held.append(bytearray(1 << 26))
