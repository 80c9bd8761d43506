import pytest

from rollout.buffers.fifo import fifo
from tests.support.builders import group


def filled(*groups):
    buffer = fifo()
    for one in groups:
        buffer.put(one)
    return buffer


def ids(groups):
    return [g.group_id for g in groups]


def test_groups_leave_in_the_order_of_issue_not_of_arrival():
    buffer = filled(group(group_id=7), group(group_id=3), group(group_id=5))
    assert ids(buffer.take(2, version=0)) == [3, 5]
    assert ids(buffer.take(2, version=0)) == [7]
    assert len(buffer) == 0


def test_evict_takes_out_groups_with_an_older_token():
    buffer = filled(*(group(group_id=v, version=v) for v in (2, 0, 1)))
    assert ids(buffer.evict(2)) == [0, 1]
    assert ids(buffer.take(9, version=2)) == [2]


def test_the_same_group_twice_is_our_defect():
    with pytest.raises(AssertionError, match="group 4 was put twice"):
        filled(group(group_id=4), group(group_id=4))
