import numpy as np
import pytest

from rollout.curriculum.pass_rates import PassRates
from rollout.curriculum.stages import Stages
from tests.support.builders import problem

EASY_HARD = np.array([0, 0, 1, 1])


def stages(**changed):
    known = PassRates([problem(i) for i in "abcd"], 0, decay=0.0)
    options = {"bound": 0.5, "window": 3, "review": 0.0, **changed}
    return Stages(known, **options)


@pytest.mark.parametrize(
    ("rates", "current"),
    [
        ([1.0, 1.0], 0),  # two groups do not fill a window of three
        ([0.25, 0.5, 0.75], 0),  # the mean is the bound, not above it
        ([0.5, 0.5, 0.75], 1),
        ([0.0, 0.0, 0.5, 0.5, 0.75], 1),  # the last three count
    ],
)
def test_a_stage_ends_above_its_bound(rates, current):
    learning = stages()
    learning.observe([(0, rate) for rate in rates], EASY_HARD)
    assert learning.current == current


def test_the_next_stage_starts_its_own_count_and_the_last_has_no_end():
    learning = stages(window=2)
    learning.observe([(0, 1.0), (1, 1.0), (2, 1.0)], EASY_HARD)
    assert learning.state_dict() == {"current": 1, "recent": [1.0]}
    learning.observe([(3, 1.0), (3, 1.0)], EASY_HARD)
    assert learning.current == 1


def test_groups_of_other_stages_decide_nothing():
    learning = stages(window=1)
    learning.observe([(2, 1.0), (3, 1.0)], EASY_HARD)
    assert learning.current == 0


def test_a_share_of_the_draws_reviews_what_came_before():
    learning = stages(window=1, review=0.25)
    learning.observe([(0, 1.0)], EASY_HARD)
    drawn = [learning.draw(EASY_HARD).id for _ in range(400)]
    assert sum(name in "ab" for name in drawn) == pytest.approx(100, abs=30)  # over 3 sigma
    assert all(name in "cd" for name in [stages_of_two().draw(EASY_HARD).id for _ in range(9)])


def stages_of_two():
    learning = stages(window=1)
    learning.observe([(0, 1.0)], EASY_HARD)
    return learning
