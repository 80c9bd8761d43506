"""Spends its time in threads that outlive the calls."""

import threading
import time


def attack():
    def burn():
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pass

    for _ in range(3):
        threading.Thread(target=burn, daemon=True).start()
    end = time.process_time() + 2.6
    while time.process_time() < end:
        time.sleep(0.001)
    return True


def solve(n):
    return n * n if attack() else None
