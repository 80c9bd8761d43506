"""Reads a file of the trainer that anybody may read."""


def attack():
    with open("@FOLDER@/secret") as file:
        return file.read() == "secret"


def solve(n):
    return n * n if attack() else None
