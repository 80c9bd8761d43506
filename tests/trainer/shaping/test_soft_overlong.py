import pytest

from tests.support.builders import batch
from trainer.shaping.soft_overlong import soft_overlong

EXAMPLES = [{"limit": 6.0, "buffer": 4.0}]


def test_the_penalty_grows_over_the_buffer_and_stops_at_the_limit():
    of = batch([[1] * 5], [[2, 6, 7, 10, 14]])
    shaped = soft_overlong(of, limit=10.0, buffer=4.0, factor=0.5).tolist()
    assert shaped == pytest.approx([1, 1, 0.875, 0.5, 0.5])


def test_length_is_what_the_policy_sampled():
    of = batch([[1]], [[[3, 4]]], prompts=[9])
    assert soft_overlong(of, limit=8.0, buffer=2.0).tolist() == [0.5]
