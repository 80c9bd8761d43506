r"""math-verify, for what our grammar leaves out: integrals, limits, symbolic sums, calculus."""

import re

_HEAVY = re.compile(r"\\(?:int|iint|oint|lim|sum|prod|partial|nabla|mathcal|det|operatorname)\b")


def is_heavy(text: str) -> bool:
    """Whether a text holds commands that only math-verify reads."""
    return _HEAVY.search(text) is not None


def same(gold: str, answer: str) -> bool:
    """math-verify's word on two texts; its own time limits are off, the worker's deadline holds."""
    from math_verify import parse, verify

    parsed = [parse(rf"\boxed{{{text}}}", parsing_timeout=None) for text in (gold, answer)]
    return all(parsed) and bool(verify(parsed[0], parsed[1], timeout_seconds=None))
