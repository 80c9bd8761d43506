"""A seeded draw that the response itself decides: the same in every run, whatever ran beside it."""

import hashlib

from rewards.types import Problem


def seeded_fraction(problem: Problem, response: str, seed: int) -> float:
    """A number in [0, 1), uniform over responses, always the same for one."""
    key = f"{seed}\x00{problem.id}\x00{response}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:6]) / 2**48
