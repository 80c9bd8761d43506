"""Every sampler: endless, seeded, resumable, and indifferent to who asks how much at once."""

import json

import pytest

from recipes.slots.registry import build
from rollout.samplers import sampler
from tests.contracts.registered import entries
from tests.support.builders import group, problem

PROBLEMS = [problem(f"p{i}", columns={"level": 1 if i < 4 else 2}) for i in range(7)]
pytestmark = pytest.mark.parametrize("entry", entries(sampler))


def make(entry, seed=0):
    return build(sampler.bind(entry), PROBLEMS, seed)


def ids(problems):
    return [p.id for p in problems]


def play(made, first, last, n=3):
    """Ids of the requests `first` to `last`, each followed by what came of it."""
    drawn = []
    for turn in range(first, last):
        problems = made.next(n)
        drawn += ids(problems)
        rewards = [1, turn % 2, 0]
        made.observe([group(rewards, group_id=turn * n + i, of=p) for i, p in enumerate(problems)])
    return drawn


def test_gives_as_many_problems_as_asked_for_ever(entry):
    made = make(entry)
    for n in (1, 5, 0, 20):
        drawn = made.next(n)
        assert len(drawn) == n
        assert set(ids(drawn)) <= set(ids(PROBLEMS))


def test_one_seed_gives_one_stream(entry):
    assert play(make(entry), 0, 5) == play(make(entry), 0, 5)


def test_seeds_differ(entry):
    assert len({tuple(play(make(entry, seed), 0, 5)) for seed in range(5)}) > 1


def test_a_loaded_state_goes_on_where_it_was(entry):
    whole, before, after = make(entry), make(entry), make(entry)
    expected = play(whole, 0, 8)
    start = play(before, 0, 3)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert start + play(after, 3, 8) == expected


def test_saving_does_not_disturb(entry):
    watched, alone = make(entry), make(entry)
    drawn = []
    for _ in range(6):
        watched.state_dict()
        drawn += ids(watched.next(2))
    assert drawn == [i for _ in range(6) for i in ids(alone.next(2))]


def test_groups_without_a_verdict_are_no_news(entry):
    made = make(entry)
    problems = made.next(3)
    made.observe([group([1, 0], of=p, missing=[0, 1], group_id=i) for i, p in enumerate(problems)])
    assert len(made.next(7)) == 7
