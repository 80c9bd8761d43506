"""Stops its own process, which then neither ends nor goes on."""

import os
import signal


def solve(n):
    os.kill(os.getpid(), signal.SIGSTOP)
