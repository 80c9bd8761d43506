"""SLOT sampler: which problem comes next. Factories `(problems, seed, *, options) -> Sampler`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from recipes.slots.registry import Registry
from recipes.slots.spec import JSON
from rewards.types import Problem
from rollout.types import Group


class Sampler(Protocol):
    """An endless, seeded, resumable stream of problems; it learns from the groups it caused."""

    def next(self, n: int) -> list[Problem]: ...
    def observe(self, groups: Sequence[Group]) -> None: ...
    def state_dict(self) -> dict[str, JSON]: ...
    def load_state_dict(self, state: Mapping[str, JSON]) -> None: ...


sampler: Registry[[Sequence[Problem], int], Sampler] = Registry(
    "sampler", params=("problems", "seed"), packages=["rollout.samplers"]
)
