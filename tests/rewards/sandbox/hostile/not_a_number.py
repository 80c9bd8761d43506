"""Returns numbers that compare oddly."""


def solve(n):
    return [float("nan"), float("inf"), -0.0][n % 3]
