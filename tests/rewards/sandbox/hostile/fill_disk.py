"""Writes far more than its folder may hold."""


def attack():
    for number in range(40):
        with open(f"part{number}", "wb", 0) as file:
            if file.write(bytes(1 << 20)) < 1 << 20:
                return False
    return True


def solve(n):
    return n * n if attack() else None
