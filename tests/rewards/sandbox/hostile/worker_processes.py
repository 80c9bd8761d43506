"""Starts workers through the standard library."""

import multiprocessing


def attack():
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=print)
    worker.start()
    return True


def solve(n):
    return n * n if attack() else None
