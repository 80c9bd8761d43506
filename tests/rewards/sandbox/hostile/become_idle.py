"""Runs only when nothing else does."""

import os


def attack():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return os.sched_getscheduler(0) == os.SCHED_IDLE


def solve(n):
    return n * n if attack() else None
