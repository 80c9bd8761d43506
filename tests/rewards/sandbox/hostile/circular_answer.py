"""Returns a list that holds itself."""


def solve(n):
    value = [n * n]
    value.append(value)
    return value
