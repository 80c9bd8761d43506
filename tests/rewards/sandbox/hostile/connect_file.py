"""Connects to a socket that is a file."""

import socket


def attack():
    channel = socket.socket(socket.AF_UNIX)
    channel.connect("@FOLDER@/open/socket")
    return True


def solve(n):
    return n * n if attack() else None
