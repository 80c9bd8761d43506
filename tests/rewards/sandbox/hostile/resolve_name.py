"""Looks up a host name, which reads files and can carry data to a name server."""

import socket


def attack():
    return bool(socket.getaddrinfo("localhost", 80))


def solve(n):
    return n * n if attack() else None
