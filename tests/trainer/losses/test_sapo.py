import math

import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.sapo import sapo


def test_at_ratio_one_the_value_is_two_over_tau_and_the_gradient_the_policys():
    out, of = at([[1.0, 1.0]], [[1.0, -1.0]])
    values = sapo(out, of, tau_positive=1.0, tau_negative=2.0).values
    values.sum().backward()
    assert on_actions(values, of) == pytest.approx([-2, 1])
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-1, 1])


def test_the_gradient_fades_away_from_one():
    out, of = at([[2.0, 2.0]], [[1.0, -1.0]])
    sapo(out, of, tau_positive=1.0, tau_negative=4.0).values.sum().backward()

    def gradient(tau: float) -> float:
        gate = 1 / (1 + math.exp(-tau * (2 - 1)))
        return 4 * gate * (1 - gate) * 2

    assert on_actions(out.logprobs.grad, of) == pytest.approx([-gradient(1), gradient(4)], rel=1e-4)
    assert gradient(4) < gradient(1)


def test_the_faded_share_of_the_gradient_is_counted_on_each_side():
    out, of = at([[2.0, 1.0]], [[1.0, -1.0]])
    metrics = sapo(out, of, tau_positive=1.0, tau_negative=1.0).metrics
    gate = 1 / (1 + math.exp(-1))  # 0.7311 at ratio 2: 1 - 4 * 0.1966 is gone, of two tokens
    assert metrics["faded_high_frac"].value == pytest.approx((1 - 4 * gate * (1 - gate)) / 2)
    assert metrics["faded_low_frac"].value == pytest.approx(0, abs=1e-6)
