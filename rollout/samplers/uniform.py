"""Every problem once an epoch, in a new order each epoch."""

from collections.abc import Mapping, Sequence

import numpy as np

from recipes.slots.spec import JSON
from rewards.types import Problem
from rollout.samplers import Sampler, sampler
from rollout.types import Group


class Uniform:
    """Walks through seeded shuffles of the problems; the position is the whole state."""

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        assert problems, "a sampler without problems"
        self._problems = problems
        self._seed = seed
        self._position = 0  # problems handed out so far, over all epochs
        self._epoch = -1
        self._order: list[int] = []

    def next(self, n: int) -> list[Problem]:
        """The next `n` problems; may run over the end of an epoch."""
        problems: list[Problem] = []
        for position in range(self._position, self._position + n):
            epoch, place = divmod(position, len(self._problems))
            if epoch != self._epoch:
                rng = np.random.default_rng((self._seed, epoch))
                self._epoch, self._order = epoch, rng.permutation(len(self._problems)).tolist()
            problems.append(self._problems[self._order[place]])
        self._position += n
        return problems

    def observe(self, groups: Sequence[Group]) -> None:
        """What came of a problem does not change its turn."""

    def state_dict(self) -> dict[str, JSON]:
        return {"position": self._position}

    def load_state_dict(self, state: Mapping[str, JSON]) -> None:
        self._position = state["position"]


@sampler.register()
def uniform(problems: Sequence[Problem], seed: int) -> Sampler:
    """Every problem once an epoch, in an order shuffled by (seed, epoch).

    Unlike the curricula it learns nothing from the groups it causes. A request larger than what is
    left of an epoch goes on in the next one.
    """
    return Uniform(problems, seed)
