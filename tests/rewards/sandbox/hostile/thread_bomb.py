"""Starts threads until it cannot, and leaves them running."""

import threading
import time


def solve(n):
    threading.stack_size(1 << 16)
    while True:
        threading.Thread(target=time.sleep, args=(1000,)).start()
