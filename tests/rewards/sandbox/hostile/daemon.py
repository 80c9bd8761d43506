"""Leaves a process behind that writes a file later."""

import os
import time


def attack():
    if os.fork():
        return True
    os.setsid()
    if os.fork():
        os._exit(0)
    time.sleep(1)
    with open("@FOLDER@/open/daemon", "w") as file:
        file.write("still here")
    time.sleep(1000)
    return False


def solve(n):
    return n * n if attack() else None
