"""Sends a packet without a connection."""

import socket


def attack():
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return channel.sendto(b"hostile", ("127.0.0.1", int("@PORT@"))) > 0


def solve(n):
    return n * n if attack() else None
