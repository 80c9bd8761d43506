import dataclasses
import json

import numpy as np
import pytest

from rollout.serialize import group_from_dict, group_to_dict, problem_from_dict, problem_to_dict
from rollout.types import Status
from tests.support.builders import group, problem, sample

ARRAYS = ("token_ids", "action_mask", "behavior_logprobs", "policy_version", "turn_ids")


def test_a_group_survives_json_to_the_bit():
    before = group([1, 0.1, 0], lengths=[3, 0, 5], group_id=7, version=4, missing=[2])
    after = group_from_dict(json.loads(json.dumps(group_to_dict(before))))
    assert after.group_id == 7
    assert after.problem == before.problem
    for old, new in zip(before.samples, after.samples, strict=True):
        for name in ARRAYS:
            left = dataclasses.asdict(old)[name]
            right = dataclasses.asdict(new)[name]
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes()
        assert old.verdict == new.verdict
        assert (old.status, old.index, old.role) == (new.status, new.index, new.role)


def test_status_and_components_survive():
    old = sample(0.5, status=Status.TRUNCATED_TOKENS, components={"format": 0.25}, answer="x")
    state = group_to_dict(dataclasses.replace(group([1]), samples=(old,)))
    new = group_from_dict(state).samples[0]
    assert new.status is Status.TRUNCATED_TOKENS
    assert new.verdict.components == {"format": 0.25}
    assert new.answer == new.verdict.answer == "x"


def test_a_loaded_array_may_be_written_to():
    new = group_from_dict(group_to_dict(group([1]))).samples[0]
    new.token_ids[0] = 9
    assert new.token_ids[0] == 9


@pytest.mark.parametrize(
    "value",
    [
        (1, (2, 3)),
        [((0, 1), 2)],
        {1: "one", (0, 0): "origin"},
        {"__tuple__": [1]},
        {"nested": {"board": ((0,), (1,))}},
        None,
        0.1,
    ],
)
def test_columns_keep_tuples_and_odd_keys(value):
    before = problem(columns={"entry": value})
    after = problem_from_dict(json.loads(json.dumps(problem_to_dict(before))))
    assert after == before


def test_a_column_that_is_no_plain_value_is_refused():
    with pytest.raises(AssertionError, match="holds ndarray"):
        problem_to_dict(problem(columns={"picture": np.zeros(2)}))
