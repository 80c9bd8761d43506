"""Asks for size and times of a file that it may not read."""

import os


def attack():
    return os.stat("@FOLDER@/secret").st_size == 6


def solve(n):
    return n * n if attack() else None
