"""Asks for memory behind the allocator's back."""

import mmap


def attack():
    held = [mmap.mmap(-1, 1 << 30) for _ in range(64)]
    return bool(held)


def solve(n):
    return n * n if attack() else None
