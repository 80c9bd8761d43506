"""A finished group to what may be trained: samples without a verdict leave, filters decide."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rollout.filters import Filter
from rollout.types import Drop, Group, Sample, Status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterResult:
    """The part of a group that goes on, and where its other samples ended."""

    kept: Group | None
    ended: Counter[str]  # bucket -> samples
    reason: str  # why nothing is kept; empty otherwise


def filter_group(group: Group, filters: Sequence[Filter], *, min_scored: int) -> FilterResult:
    """Samples without a verdict leave; fewer than `min_scored` left drops the group; then filters.

    A greedy sample (index -1) is a baseline: no filter sees it, and a group whose greedy sample
    has no verdict is dropped. It comes last in the kept group.
    """
    ended = Counter(_error_bucket(s) for s in group.samples if s.verdict.is_missing)
    greedy = tuple(s for s in group.scored if s.index < 0)
    drawn = tuple(s for s in group.scored if s.index >= 0)
    current = dataclasses.replace(group, samples=drawn)
    drop: Drop | None = None
    if len(drawn) < min_scored:
        drop = Drop(reason=_without_verdict(group))
    elif any(s.verdict.is_missing for s in group.samples if s.index < 0):
        drop = Drop(reason="the greedy sample has no verdict")
    else:
        current, drop = _filter(current, filters)
    ended["down_sampled"] += len(drawn) - len(current.samples)
    if drop is not None:
        ended[drop.bucket] += len(current.samples) + len(greedy)
        return FilterResult(kept=None, ended=+ended, reason=drop.reason)
    kept = dataclasses.replace(current, samples=(*current.samples, *greedy))
    return FilterResult(kept=kept, ended=+ended, reason="")


def _filter(group: Group, filters: Sequence[Filter]) -> tuple[Group, Drop | None]:
    """The group after the filters, in their order, up to the first that drops it."""
    for decide in filters:
        decision = decide(group)
        if isinstance(decision, Drop):
            return group, decision
        group = decision.group
        assert group.samples, "a filter kept a group without samples; it should drop it"
    return group, None


def _error_bucket(sample: Sample) -> str:
    return "engine_error" if sample.status is Status.ERROR_ENGINE else "verifier_error"


def _without_verdict(group: Group) -> str:
    """The most frequent cause, in a few words that can be counted."""
    causes = Counter(_error_bucket(s) for s in group.samples if s.verdict.is_missing)
    [(cause, _)] = causes.most_common(1)
    return f"too few samples with a verdict ({cause})"
