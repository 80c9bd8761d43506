"""Every filter: a pure word about one group, which keeps some of its samples or names a bucket."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.slots.registry import function_of
from rollout.filters import filter_
from rollout.types import Bucket, Drop, Group, Keep, Sample, Status
from tests.contracts.registered import entries
from tests.support.builders import problem, sample

REWARDS = (0.0, 0.5, 1.0)

pytestmark = pytest.mark.parametrize("entry", entries(filter_))


def decide(entry, group):
    return function_of(filter_.bind(entry))(group)


@st.composite
def groups(draw) -> Group:
    """One to six samples, some truncated, some alike, as the collector hands them over."""
    samples: list[Sample] = []
    for index in range(draw(st.integers(1, 6))):
        reward = draw(st.sampled_from(REWARDS))
        samples.append(
            sample(
                reward,
                correct=reward == 1,
                reply=draw(st.integers(0, 5)),
                index=index,
                status=draw(st.sampled_from([Status.COMPLETED, Status.TRUNCATED_TOKENS])),
                answer=draw(st.sampled_from(["", "1", "2"])),
            )
        )
    return Group(problem=problem(), samples=tuple(samples), group_id=5)


@given(group=groups())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_keeps_samples_of_the_group_or_drops_it_into_a_known_bucket(entry, group):
    decision = decide(entry, group)
    if isinstance(decision, Drop):
        assert isinstance(decision.bucket, Bucket)
        assert decision.reason
        return
    assert isinstance(decision, Keep)
    kept = [s.index for s in decision.group.samples]
    assert kept, "a filter that keeps nothing drops the group"
    assert len(set(kept)) == len(kept)
    assert set(kept) <= {s.index for s in group.samples}
    assert decision.group.group_id == group.group_id
    assert decision.group.problem is group.problem


@given(group=groups())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_says_the_same_of_the_same_group(entry, group):
    first, second = decide(entry, group), decide(entry, group)
    assert type(first) is type(second)
    if isinstance(first, Keep):
        indices = [[s.index for s in d.group.samples] for d in (first, second)]
        assert indices[0] == indices[1]


@given(group=groups())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_reasons_are_the_same_words_for_every_group_so_that_they_can_be_counted(entry, group):
    decision = decide(entry, group)
    if isinstance(decision, Drop):
        renamed = dataclasses.replace(group, group_id=77, problem=problem("another"))
        assert decide(entry, renamed) == decision
