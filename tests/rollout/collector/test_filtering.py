import dataclasses
from collections import Counter

from rollout.collector.filtering import filter_group
from rollout.filters.drop_uniform import drop_uniform
from rollout.types import Keep, Status
from tests.support.builders import group, sample


def with_greedy(rewards, *, greedy_missing=False, missing=()):
    base = group(rewards, missing=missing)
    greedy = sample(1.0, index=-1, missing=greedy_missing)
    return dataclasses.replace(base, samples=(*base.samples, greedy))


def first(n):
    return lambda g: Keep(group=dataclasses.replace(g, samples=g.samples[:n]))


def test_a_whole_group_passes_without_filters():
    sifted = filter_group(group([1, 1]), [], min_scored=2)
    assert [s.index for s in sifted.kept.samples] == [0, 1]
    assert sifted.ended == Counter()


def test_missing_samples_leave_by_their_cause():
    statuses = [Status.COMPLETED, Status.ERROR_ENGINE, Status.COMPLETED, Status.COMPLETED]
    sifted = filter_group(group([1, 0, 0, 1], statuses=statuses, missing=[1, 2]), [], min_scored=2)
    assert [s.index for s in sifted.kept.samples] == [0, 3]
    assert sifted.ended == Counter(engine_error=1, verifier_error=1)


def test_too_few_verdicts_drop_the_group_and_say_why():
    sifted = filter_group(group([1, 0, 0], missing=[1, 2]), [], min_scored=2)
    assert sifted.kept is None
    assert sifted.ended == Counter(verifier_error=2, filtered=1)
    assert sifted.reason == "too few samples with a verdict (verifier_error)"


def test_every_sample_of_a_dropped_group_ends_in_the_filters_bucket():
    sifted = filter_group(group([1, 1, 1], missing=[0]), [drop_uniform], min_scored=2)
    assert sifted.kept is None
    assert sifted.ended == Counter(verifier_error=1, zero_signal=2)
    assert sifted.reason == "all samples have the same reward"


def test_what_a_filter_leaves_out_is_down_sampled():
    sifted = filter_group(group([1, 0, 1, 0]), [first(3), first(2)], min_scored=2)
    assert [s.index for s in sifted.kept.samples] == [0, 1]
    assert sifted.ended == Counter(down_sampled=2)


def test_a_later_filter_may_drop_what_an_earlier_one_left():
    sifted = filter_group(group([1, 1, 0]), [first(2), drop_uniform], min_scored=2)
    assert sifted.ended == Counter(down_sampled=1, zero_signal=2)


def test_no_filter_sees_the_greedy_sample():
    seen = []

    def watch(g):
        seen.extend(s.index for s in g.samples)
        return Keep(group=g)

    sifted = filter_group(with_greedy([1, 0]), [watch], min_scored=2)
    assert seen == [0, 1]
    assert [s.index for s in sifted.kept.samples] == [0, 1, -1]


def test_the_greedy_sample_is_dropped_with_its_group():
    sifted = filter_group(with_greedy([0, 0]), [drop_uniform], min_scored=2)
    assert sifted.ended == Counter(zero_signal=3)


def test_a_greedy_sample_without_a_verdict_drops_the_group():
    sifted = filter_group(with_greedy([1, 0], greedy_missing=True), [], min_scored=2)
    assert sifted.kept is None
    assert sifted.ended == Counter(verifier_error=1, filtered=2)
