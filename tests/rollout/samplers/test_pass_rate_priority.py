from collections import Counter

import pytest

from rollout.samplers.pass_rate_priority import pass_rate_priority
from tests.support.builders import group, problem

EXAMPLES = [{}, {"floor": 0.25}]
PROBLEMS = [problem(name) for name in ("solved", "half", "fifth", "new")]
OUTCOMES = {"solved": [1, 1], "half": [1, 0], "fifth": [1, 0, 0, 0, 0]}


def shares(draws=4000, **options):
    drawing = pass_rate_priority(PROBLEMS, 0, **options)
    drawing.observe([group(r, of=problem(name)) for name, r in OUTCOMES.items()])
    counts = Counter(p.id for p in drawing.next(draws))
    return {name: counts[name] / draws for name in counts}


def test_draws_are_in_proportion_to_the_variance_of_the_outcome():
    # half 0.25, fifth 0.2 * 0.8 = 0.16, new as half 0.25, solved at the floor 0.04: together 0.7
    expected = {"half": 0.25 / 0.7, "fifth": 0.16 / 0.7, "new": 0.25 / 0.7, "solved": 0.04 / 0.7}
    assert shares(floor=0.04) == pytest.approx(expected, abs=0.03)


def test_the_highest_floor_is_uniform():
    assert shares(floor=0.25) == pytest.approx(dict.fromkeys(shares(), 0.25), abs=0.03)


def test_a_problem_that_is_solved_loses_its_share():
    drawing = pass_rate_priority([problem("a"), problem("b")], 0, floor=0.01, decay=0.0)
    drawing.observe([group([1, 1], of=problem("a"))])
    drawn = [p.id for p in drawing.next(1000)]
    assert drawn.count("a") == pytest.approx(1000 * 0.01 / 0.26, abs=25)
