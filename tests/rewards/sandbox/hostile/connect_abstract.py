"""Connects to a socket that has a name but no file."""

import socket


def attack():
    channel = socket.socket(socket.AF_UNIX)
    channel.connect("\0hostile-@PORT@")
    return True


def solve(n):
    return n * n if attack() else None
