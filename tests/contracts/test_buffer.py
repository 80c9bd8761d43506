"""Every buffer: nothing is lost, nothing is invented, and a saved buffer goes on as it was."""

import json

import pytest

from recipes.slots.registry import build
from rollout.buffers import buffer
from tests.contracts.registered import entries
from tests.support.builders import group

pytestmark = pytest.mark.parametrize("entry", entries(buffer))


def make(entry, groups=()):
    made = build(buffer.bind(entry))
    for one in groups:
        made.put(one)
    return made


def some(n, version=0):
    return [group([1, 0], group_id=i, version=version) for i in range(n)]


def ids(groups):
    return [g.group_id for g in groups]


def test_gives_no_more_than_asked_and_only_what_was_put(entry):
    made = make(entry, some(5))
    taken = made.take(3, 0)
    assert len(taken) == 3
    assert len(set(ids(taken))) == 3
    assert set(ids(taken)) <= set(range(5))


def test_all_fresh_groups_come_out(entry):
    made = make(entry, some(4))
    assert sorted(ids(made.take(2, 0)) + ids(made.take(2, 0))) == [0, 1, 2, 3]


def test_an_empty_buffer_gives_nothing(entry):
    made = make(entry)
    assert len(made) == 0
    assert made.take(3, 0) == []
    assert made.evict(0) == []


def test_evicts_nothing_that_is_young_enough(entry):
    made = make(entry, some(3, version=4))
    assert made.evict(4) == []
    assert len(made.take(3, 4)) == 3


def test_a_loaded_state_goes_on_where_it_was(entry):
    before, after = make(entry, some(6)), make(entry)
    before.take(2, 0)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert len(after) == len(before)
    assert ids(after.take(3, 0)) == ids(before.take(3, 0))
    assert after.state_dict() == before.state_dict()
