"""The counts of a run: the ledger, the samples on their way, and the numbers of all groups."""

import json

import pytest

from rollout.collector.ledger import (
    Ledger,
    LedgerError,
    RolloutStats,
    SampleTracker,
    sample_buckets,
)
from rollout.types import Bucket, Drop, Status
from tests.support.builders import group

# -- ledger --------------------------------------------------------------------------------------


def test_issued_equals_ended_and_living():
    ledger = Ledger()
    ledger.issue(10)
    ledger.settle(Bucket.TRAINED, 4)
    ledger.settle(Bucket.STALE)
    ledger.check(in_flight=3, buffered=1, in_step=1)  # 4 + 1 + 3 + 1 + 1 = 10


@pytest.mark.parametrize("in_flight", [2, 4])
def test_a_lost_or_doubled_sample_is_an_error_with_the_numbers(in_flight):
    ledger = Ledger()
    ledger.issue(10)
    ledger.settle(Bucket.TRAINED, 7)
    match = f"10 samples were issued and {7 + in_flight} are accounted for.*trained 7"
    with pytest.raises(LedgerError, match=match):
        ledger.check(in_flight=in_flight, buffered=0, in_step=0)


@pytest.mark.parametrize("bucket", ["lost", "filtered", None])
def test_a_filter_that_gives_something_else_than_a_bucket_is_refused_where_it_does(bucket):
    match = f"'too easy'.*{bucket!r} is not a bucket.*rollout.types.Bucket.*Bucket.FILTERED"
    with pytest.raises(TypeError, match=match):
        Drop(reason="too easy", bucket=bucket)


def test_a_saved_bucket_that_no_longer_exists_is_refused():
    with pytest.raises(ValueError, match="'lost' is not a valid Bucket"):
        Ledger().load_state_dict({"issued": 1, "ended": {"lost": 1}, "read_issued": 0, "read": {}})


def test_metrics_count_since_the_last_reading():
    ledger = Ledger()
    ledger.issue(8)
    ledger.settle(Bucket.TRAINED, 8)
    first = ledger.metrics()
    assert first["ledger/issued"] == first["ledger/trained"] == 8
    ledger.issue(4)
    ledger.settle(Bucket.MASKED, 4)
    metrics = ledger.metrics()
    assert set(metrics) == {f"ledger/{bucket}" for bucket in Bucket} | {"ledger/issued"}
    assert metrics["ledger/issued"] == metrics["ledger/masked"] == 4
    assert metrics["ledger/trained"] == 0


def test_a_loaded_ledger_goes_on_counting():
    first, second = Ledger(), Ledger()
    first.issue(8)
    first.settle(Bucket.TRAINED, 5)
    first.metrics()
    first.settle(Bucket.STALE, 3)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.check(in_flight=0, buffered=0, in_step=0)
    assert second.metrics() == first.metrics()
    assert second.issued == 8


# -- samples that have not ended -----------------------------------------------------------------


def begin(issued):
    ledger = Ledger()
    ledger.issue(issued)
    return ledger, SampleTracker(ledger)


def test_a_sample_goes_from_the_buffer_through_the_step_to_its_bucket():
    ledger, tracker = begin(5)
    tracker.check(in_flight=5)
    tracker.buffer(group([1, 0], group_id=3))
    tracker.check(in_flight=3)
    assert tracker.hand_out(group([1, 0], group_id=3))
    tracker.check(in_flight=3)
    tracker.settle({3 * 65536: Bucket.TRAINED, 3 * 65536 + 1: Bucket.MASKED})
    tracker.check(in_flight=3)
    assert (ledger.count(Bucket.TRAINED), ledger.count(Bucket.MASKED)) == (1, 1)


def test_a_group_handed_out_again_is_not_counted_again():
    ledger, tracker = begin(2)
    again = group([1, 0], group_id=3)
    tracker.buffer(again)
    tracker.hand_out(again)
    tracker.settle({3 * 65536: Bucket.TRAINED, 3 * 65536 + 1: Bucket.TRAINED})
    assert not tracker.hand_out(again)
    tracker.settle({3 * 65536: Bucket.TRAINED, 3 * 65536 + 1: Bucket.TRAINED})
    assert not tracker.evict(again)
    tracker.check(in_flight=0)
    assert (ledger.count(Bucket.TRAINED), ledger.count(Bucket.STALE)) == (2, 0)


def test_an_evicted_group_is_stale():
    ledger, tracker = begin(2)
    tracker.buffer(group([1, 0], group_id=0))
    assert tracker.evict(group([1, 0], group_id=0))
    assert ledger.count(Bucket.STALE) == 2
    tracker.check(in_flight=0)


def test_state_is_refused_in_the_middle_of_a_step():
    _, tracker = begin(2)
    tracker.buffer(group())
    tracker.hand_out(group())
    with pytest.raises(AssertionError, match="between steps"):
        tracker.state_dict()


def test_a_sample_that_was_lost_is_found_at_the_next_check():
    _, tracker = begin(3)
    tracker.buffer(group([1, 0], group_id=3))
    with pytest.raises(LedgerError, match="3 samples were issued and 2 are accounted for"):
        tracker.check(in_flight=0)
    tracker.hand_out(group([1, 0], group_id=3))
    with pytest.raises(LedgerError, match="in flight 0, buffered 0, in the step 2"):
        tracker.check(in_flight=0)


def test_a_loaded_tracker_knows_what_is_buffered():
    ledger, tracker = begin(2)
    tracker.buffer(group([1, 0], group_id=9))
    loaded = SampleTracker(ledger)
    loaded.load_state_dict(json.loads(json.dumps(tracker.state_dict())))
    assert loaded.buffered_groups == 1
    loaded.check(in_flight=0)


# -- buckets of a step ---------------------------------------------------------------------------


def test_every_sample_of_a_step_ends_in_one_bucket():
    cut = [Status.COMPLETED] * 4 + [Status.TRUNCATED_TOKENS] * 2
    groups = [group([1] * 6, statuses=cut, group_id=0), group([1, 0], group_id=1)]
    ended = sample_buckets(
        groups,
        selected={0, 1, 2, 4, 65536, 65537},
        in_loss={0, 1, 65536},
        with_signal={0, 65536},
    )
    assert ended == {
        0: Bucket.TRAINED,
        1: Bucket.ZERO_SIGNAL,
        2: Bucket.MASKED,
        3: Bucket.DOWN_SAMPLED,
        4: Bucket.TRUNCATED,
        5: Bucket.DOWN_SAMPLED,  # cut too, and never in the batch
        65536: Bucket.TRAINED,
        65537: Bucket.MASKED,
    }


# -- numbers of all finished groups --------------------------------------------------------------


def test_every_finished_group_counts_kept_or_not():
    stats = RolloutStats()
    stats.add(group([1, 1]), kept=False)
    stats.add(group([1, 0, 0, 0]), kept=True)
    stats.add(group([0, 0]), kept=False)
    stats.add_failed()
    metrics = stats.metrics()
    assert metrics["rollout/groups"] == 4
    assert metrics["rollout/kept_frac"] == 0.25
    assert metrics["rollout/pass_rate"] == pytest.approx((1 + 0.25 + 0) / 3)
    assert metrics["rollout/solved_all_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/solved_none_frac"] == pytest.approx(1 / 3)
    assert metrics["rollout/useful_frac"] == pytest.approx(1 / 3)  # the second
    assert metrics["rollout/reward"] == pytest.approx(3 / 8)


def test_groups_are_useful_where_their_rewards_differ_whatever_is_correct():
    stats = RolloutStats()
    stats.add(group([0.2, 0.7]), kept=True)  # a graded reward: both above 0, so both correct
    stats.add(group([0.5, 0.5]), kept=True)
    stats.add(group([0, -1]), kept=True)  # none correct, and one is worse
    stats.add(group([1, 1, 0], missing=[2]), kept=True)  # the third sample has no verdict
    assert stats.metrics()["rollout/useful_frac"] == 2 / 4


def test_a_group_of_one_sample_has_nothing_to_differ_from():
    stats = RolloutStats()
    stats.add(group([1]), kept=True)
    assert "rollout/useful_frac" not in stats.metrics()
    stats.add(group([1, 0]), kept=True)
    assert stats.metrics()["rollout/useful_frac"] == 1


def test_missing_verdicts_count_for_nothing():
    stats = RolloutStats()
    stats.add(group([1, 0], missing=[0, 1]), kept=False)
    assert "rollout/pass_rate" not in stats.metrics()


def test_nothing_seen_gives_no_mean():
    assert RolloutStats().metrics() == {
        "rollout/groups": 0,
        "rollout/groups_issued": 0,
        "rollout/groups_reused": 0,
        "rollout/refills": 0,
        "rollout/tokens": 0,
    }
