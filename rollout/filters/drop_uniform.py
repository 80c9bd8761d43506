"""Dynamic sampling: groups without contrast are not trained on."""

from typing import Annotated, Literal

from pydantic import Field

from rollout.filters import filter_
from rollout.types import Bucket, Decision, Drop, Group, Keep


@filter_.register(paper="https://arxiv.org/abs/2503.14476")
def drop_uniform(
    group: Group,
    *,
    on: Annotated[
        Literal["reward", "correct"],
        Field(description="Quantity that must differ within the group: the reward, or correctness"),
    ] = "reward",
) -> Decision:
    """Drops a group whose scored samples are all alike: its group-relative advantage is zero.

    Yu et al. 2025 (DAPO), https://arxiv.org/abs/2503.14476, compare accuracies; `on: correct`
    is the paper's rule, `on: reward` also keeps groups told apart by partial rewards only. Looks
    at rewards before shaping: a shaping that differs inside a group (length, format) may give
    signal to groups dropped here. Groups of one and groups without a score are dropped.
    """
    values = {s.verdict.reward if on == "reward" else s.verdict.correct for s in group.scored}
    if len(values) > 1:
        return Keep(group=group)
    word = "reward" if on == "reward" else "correctness"
    return Drop(reason=f"all samples have the same {word}", bucket=Bucket.ZERO_SIGNAL)
