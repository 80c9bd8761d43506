"""Functions for the workers of test_workers.py."""

import os
import time

PREPARED: list[object] = []


def double(number):
    return 2 * number


def prepare(number):
    time.sleep(0.3)
    PREPARED.append(number)


def prepared(number):
    return PREPARED


def variables(number):
    return sorted(os.environ)


def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()


def die(number):
    os._exit(5)


def fail(number):
    raise ValueError(f"not {number}")


def odd(number):
    return {1, 2}


def process(number):
    return os.getpid()
