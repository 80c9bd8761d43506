import dataclasses

from rollout.filters.deduplicate import deduplicate
from rollout.types import Bucket, Drop, Keep
from tests.support.builders import group, sample


def of(*replies, rewards=None):
    rewards = rewards or [1.0] * len(replies)
    samples = tuple(
        sample(reward, reply=reply, index=i)
        for i, (reward, reply) in enumerate(zip(rewards, replies, strict=True))
    )
    return dataclasses.replace(group(), samples=samples)


def indices(decision):
    assert isinstance(decision, Keep)
    return [s.index for s in decision.group.samples]


def test_the_first_of_each_completion_stays():
    repeated = of([7, 8], [9], [7, 8], [9], [7, 8, 9])
    assert indices(deduplicate(repeated)) == [0, 1, 4]


def test_the_baseline_is_that_of_the_distinct_samples():
    decision = deduplicate(of([7], [7], [7], [8], rewards=[1, 1, 1, 0]))
    assert isinstance(decision, Keep)
    assert decision.group.pass_rate == 0.5  # 0.75 with the repeats


def test_a_group_without_repeats_is_kept_as_it_is():
    distinct = of([7], [8])
    decision = deduplicate(distinct)
    assert isinstance(decision, Keep)
    assert decision.group is distinct


def test_a_group_of_one_completion_has_no_signal():
    decision = deduplicate(of([7, 8], [7, 8], [7, 8]))
    assert decision == Drop(reason="all completions are the same", bucket=Bucket.ZERO_SIGNAL)


def test_a_group_of_one_stays():
    assert indices(deduplicate(of([7]))) == [0]


def test_the_same_tokens_of_another_player_or_another_hand_are_not_the_same():
    said = sample(reply=[7, 8])
    other = dataclasses.replace(sample(reply=[7, 8], index=1), role="judge")
    observed = sample(prompt=(5, 6, 7), reply=[8], index=2)
    mixed = dataclasses.replace(group(), samples=(said, other, observed))
    assert indices(deduplicate(mixed)) == [0, 1, 2]
