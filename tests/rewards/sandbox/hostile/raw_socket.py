"""Opens a raw socket, and one to the kernel's network settings."""

import contextlib
import socket


def attack():
    for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_NETLINK, socket.SOCK_RAW)):
        with contextlib.suppress(OSError):
            socket.socket(family, kind)
            return True
    return False


def solve(n):
    return n * n if attack() else None
