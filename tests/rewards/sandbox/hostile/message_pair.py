"""Connects one end of a pair of sequenced sockets to an abstract name."""

import socket


def attack():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.connect("\0hostile-@PORT@")
    return True


def solve(n):
    return n * n if attack() else None
