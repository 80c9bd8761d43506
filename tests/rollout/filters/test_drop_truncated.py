import pytest

from rollout.filters.drop_truncated import drop_truncated
from rollout.types import Drop, Keep, Status
from tests.support.builders import group

DONE, TOKENS, TURNS = Status.COMPLETED, Status.TRUNCATED_TOKENS, Status.TRUNCATED_TURNS


@pytest.mark.parametrize(
    ("statuses", "max_frac", "kept"),
    [
        ([DONE, DONE, DONE, DONE], 0.0, True),
        ([DONE, DONE, DONE, TOKENS], 0.0, False),
        ([DONE, DONE, TURNS, TOKENS], 0.5, True),  # 2 of 4 is not more than one half
        ([DONE, TURNS, TURNS, TOKENS], 0.5, False),
    ],
)
def test_a_group_leaves_when_too_much_of_it_is_truncated(statuses, max_frac, kept):
    decision = drop_truncated(group([1, 0, 1, 0], statuses=statuses), max_frac=max_frac)
    assert isinstance(decision, Keep) == kept
    if isinstance(decision, Drop):
        assert decision.bucket == "truncated"
