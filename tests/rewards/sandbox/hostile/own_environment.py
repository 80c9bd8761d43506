"""Looks for the trainer's secrets in its own environment, and for whose it is."""

import os


def attack():
    return "HOSTILE_SECRET" in os.environ or os.environ.get("HOME") == "@HOME@"


def solve(n):
    return n * n if attack() else None
