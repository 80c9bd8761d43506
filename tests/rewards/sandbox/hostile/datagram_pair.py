"""Sends from an unconnected pair of datagram sockets to an abstract name."""

import socket


def attack():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"out", "\0hostile-dgram-@PORT@") == 3


def solve(n):
    return n * n if attack() else None
