import math

import pytest

from tests.support.builders import batch
from trainer.shaping.cosine_length import cosine_length

EXAMPLES = [{"limit": 6.0}]


def test_right_falls_from_two_to_one_and_wrong_rises_from_minus_ten_to_zero():
    of = batch([[1, 1, 0, 0, 1]], [[1, 5, 5, 0, 10]])
    half, tenth = 0.5, (1 + math.cos(math.pi / 10)) / 2
    expected = [1 + tenth, 1 + half, -10 * half, -10, -10]
    assert cosine_length(of, limit=10.0).tolist() == pytest.approx(expected)
