"""Of completions that are the same, one is trained."""

import dataclasses

from rollout.filters import filter_
from rollout.types import Bucket, Decision, Drop, Group, Keep, Sample


@filter_.register()
def deduplicate(group: Group) -> Decision:
    """Keeps the first of identical trajectories; drops a group in which all are the same.

    Unlike the selections, which keep the statistics of the whole group, the baseline is that of
    the distinct samples: a completion drawn five times counts once. That changes the estimate, in
    favour of rare completions, and is meant for policies that repeat themselves. Trajectories are
    the same when player, tokens and sampled positions are. A rule of our own. A group of one stays;
    the samples that leave a kept group are `down_sampled`.
    """
    distinct: dict[tuple[str, bytes, bytes], Sample] = {}
    for sample in group.samples:
        key = (sample.role, sample.token_ids.tobytes(), sample.action_mask.tobytes())
        distinct.setdefault(key, sample)
    if len(distinct) == 1 < len(group.samples):
        return Drop(reason="all completions are the same", bucket=Bucket.ZERO_SIGNAL)
    if len(distinct) == len(group.samples):
        return Keep(group=group)
    return Keep(group=dataclasses.replace(group, samples=tuple(distinct.values())))
