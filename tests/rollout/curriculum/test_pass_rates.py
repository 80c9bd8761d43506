import json

import numpy as np

from rollout.curriculum.pass_rates import PassRates
from tests.support.builders import group, problem

PROBLEMS = [problem(i) for i in "abcd"]


def told(known, name, rewards, **more):
    return known.observe([group(rewards, of=problem(name), **more)])


def test_the_first_rate_is_taken_as_it_is_and_the_next_is_blended():
    known = PassRates(PROBLEMS, 0, decay=0.75)
    assert told(known, "b", [1, 1, 0, 0]) == [(1, 0.5)]
    assert known.rates[1] == 0.5
    told(known, "b", [1, 1, 1, 1])
    assert known.rates[1] == 0.75 * 0.5 + 0.25 * 1.0
    assert known.seen.tolist() == [False, True, False, False]


def test_what_tells_nothing_changes_nothing():
    known = PassRates(PROBLEMS, 0, decay=0.5)
    assert told(known, "a", [1, 0], missing=[0, 1]) == []
    assert told(known, "stranger", [1, 0]) == []
    assert not known.seen.any()


def test_a_missing_verdict_is_not_a_wrong_answer():
    known = PassRates(PROBLEMS, 0, decay=0.5)
    assert told(known, "a", [1, 1, 0], missing=[2]) == [(0, 1.0)]


def test_never_drawn_ones_come_first_and_then_those_drawn_longest_ago():
    known = PassRates(PROBLEMS, 0, decay=0.5)
    every = np.ones(4, dtype=bool)
    first = [known.draw(known.longest_ago(every)).id for _ in range(4)]
    assert sorted(first) == ["a", "b", "c", "d"]
    assert [known.draw(known.longest_ago(every)).id for _ in range(4)] == first
    only_c = np.array([False, False, True, False])
    assert known.draw(known.longest_ago(only_c)).id == "c"


def test_a_state_fits_another_order_and_new_problems():
    known = PassRates(PROBLEMS, 0, decay=0.5)
    known.draw(2)
    told(known, "c", [1, 0])
    state = json.loads(json.dumps(known.state_dict()))
    assert state == {"position": 1, "rates": {"c": 0.5}, "drawn": {"c": 0}}
    other = PassRates([problem("new"), problem("c")], 0, decay=0.5)
    other.load_state_dict(state)
    assert other.seen.tolist() == [False, True]
    assert other.drawn.tolist() == [-1, 0]
    assert other.position == 1
