"""Connects to a server of the trainer."""

import socket


def attack():
    socket.create_connection(("127.0.0.1", int("@PORT@")), 1)
    return True


def solve(n):
    return n * n if attack() else None
