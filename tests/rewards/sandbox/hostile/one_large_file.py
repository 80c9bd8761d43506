"""Writes one file that is larger than allowed."""


def attack():
    with open("large", "wb", 0) as file:
        for _ in range(40):
            if file.write(bytes(1 << 20)) < 1 << 20:
                return False
    return True


def solve(n):
    return n * n if attack() else None
