"""Runs a command."""

import subprocess


def attack():
    command = ["/bin/sh", "-c", "touch @FOLDER@/open/shell; echo yes"]
    done = subprocess.run(command, capture_output=True)
    return done.stdout == b"yes\n"


def solve(n):
    return n * n if attack() else None
