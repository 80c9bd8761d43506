import json

import pytest

from rollout.collector.custody import SampleTracker
from rollout.collector.ledger import Ledger
from tests.support.builders import group


def begin(issued):
    ledger = Ledger()
    ledger.issue(issued)
    return ledger, SampleTracker(ledger)


def test_a_sample_goes_from_the_buffer_through_the_step_to_its_bucket():
    ledger, custody = begin(5)
    custody.check(in_flight=5)
    custody.buffer(group([1, 0], group_id=3))
    custody.check(in_flight=3)
    assert custody.hand_out(group([1, 0], group_id=3))
    custody.check(in_flight=3)
    custody.settle({3 * 65536: "trained", 3 * 65536 + 1: "masked"})
    custody.check(in_flight=3)
    assert (ledger.count("trained"), ledger.count("masked")) == (1, 1)


def test_a_group_handed_out_again_is_not_counted_again():
    ledger, custody = begin(2)
    again = group([1, 0], group_id=3)
    custody.buffer(again)
    custody.hand_out(again)
    custody.settle({3 * 65536: "trained", 3 * 65536 + 1: "trained"})
    assert not custody.hand_out(again)
    custody.settle({3 * 65536: "trained", 3 * 65536 + 1: "trained"})
    assert not custody.evict(again)
    custody.check(in_flight=0)
    assert (ledger.count("trained"), ledger.count("stale")) == (2, 0)


def test_an_evicted_group_is_stale():
    ledger, custody = begin(2)
    custody.buffer(group([1, 0], group_id=0))
    assert custody.evict(group([1, 0], group_id=0))
    assert ledger.count("stale") == 2
    custody.check(in_flight=0)


def test_state_is_refused_in_the_middle_of_a_step():
    _, custody = begin(2)
    custody.buffer(group())
    custody.hand_out(group())
    with pytest.raises(AssertionError, match="between steps"):
        custody.state_dict()


def test_a_loaded_custody_knows_what_is_buffered():
    ledger, custody = begin(2)
    custody.buffer(group([1, 0], group_id=9))
    loaded = SampleTracker(ledger)
    loaded.load_state_dict(json.loads(json.dumps(custody.state_dict())))
    assert loaded.buffered_groups == 1
    loaded.check(in_flight=0)
