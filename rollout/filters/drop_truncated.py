"""Groups that mostly ran into the token limit are not trained on."""

from typing import Annotated

from pydantic import Field

from rollout.filters import filter_
from rollout.types import Bucket, Decision, Drop, Group, Keep


@filter_.register()
def drop_truncated(
    group: Group,
    *,
    max_frac: Annotated[
        float,
        Field(ge=0, lt=1, description="Largest share of truncated samples in a group that is kept"),
    ] = 0.0,
) -> Decision:
    """Drops a group when more than `max_frac` of its samples were truncated.

    Drops whole groups; the mask `completed_only` keeps the group's statistics and takes only the
    truncated samples out of the loss. A group without samples is kept.
    """
    truncated = sum(sample.status.is_truncated for sample in group.samples)
    if truncated <= max_frac * len(group.samples):
        return Keep(group=group)
    return Drop(reason="too many truncated samples", bucket=Bucket.TRUNCATED)
