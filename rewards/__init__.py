"""Is the answer right? Problems, verdicts and the verifiers that give them; no torch here.

    rewards.score("math_equal", "1/2", "0.5")   a verdict, in a notebook or a script
    rewards.as_trl("math_equal")                a reward function for TRL's trainers
    rewards.as_verl("math_equal")               a `compute_score` for verl

What these three need is imported when one of them is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewards.adapters import NoVerdict, as_trl, as_verl, score

__all__ = ["NoVerdict", "as_trl", "as_verl", "score"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'rewards' has no attribute '{name}'")
    from rewards import adapters

    return vars(adapters)[name]
