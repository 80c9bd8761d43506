import math

import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.cispo import cispo

EXAMPLES = [{}, {"ratio_low": 0.5, "ratio_high": 1.5}]


def test_a_ratio_above_the_cap_goes_on_learning_with_the_cap():
    out, of = at([[8.0, 2.0]], [[1.0, 1.0]])
    values = cispo(out, of, ratio_high=5.0).values
    values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-5, -2])
    assert on_actions(values, of) == pytest.approx([-5 * (math.log(8) - 1), -2 * (math.log(2) - 1)])


def test_a_lower_bound_lifts_small_weights():
    out, of = at([[0.1, 0.7]], [[1.0, -1.0]])
    cispo(out, of, ratio_low=0.5).values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-0.5, 0.7])
