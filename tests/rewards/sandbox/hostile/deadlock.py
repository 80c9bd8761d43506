"""Waits for a lock that it holds itself."""

import threading


def solve(n):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
