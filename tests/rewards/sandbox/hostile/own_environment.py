"""Looks for the trainer's secrets in its own environment."""

import os


def attack():
    return "HOSTILE_SECRET" in str(os.environ) or "HOME=/root" in str(os.environ)


def solve(n):
    return n * n if attack() else None
