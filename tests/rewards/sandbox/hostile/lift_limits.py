"""Lifts the limits on itself and uses more."""

import resource


def attack():
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NPROC):
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return True


def solve(n):
    return n * n if attack() else None
