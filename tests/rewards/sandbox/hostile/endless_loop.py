"""Never comes back."""


def solve(n):
    while True:
        pass
