"""Returns a list in a list in a list, ten thousand deep."""


def solve(n):
    value = [n * n]
    for _ in range(10_000):
        value = [value]
    return value
