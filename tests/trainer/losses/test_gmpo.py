import math

import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.gmpo import gmpo


def test_is_the_geometric_mean_of_the_ratios():
    out, of = at([[1.25, 0.8, 1.0]], [[2.0, 2.0, 2.0]])
    assert on_actions(gmpo(out, of).values, of) == pytest.approx([-2, -2, -2])


def test_each_token_is_clipped_in_nats_before_the_mean():
    out, of = at([[math.e**2, 1.0], [math.e**-2, 1.0]], [[1.0, 1.0], [-1.0, -1.0]])
    values = on_actions(gmpo(out, of, clip_low=0.4, clip_high=0.4).values, of)
    assert values == pytest.approx([-math.exp(0.2)] * 2 + [math.exp(-0.2)] * 2)


def test_a_clip_that_would_help_the_loss_is_not_made():
    out, of = at([[math.e**-2, 1.0]], [[1.0, 1.0]])
    assert on_actions(gmpo(out, of).values, of) == pytest.approx([-math.exp(-1)] * 2)


def test_the_sample_carries_its_mean_advantage():
    out, of = at([[1.0, 1.0]], [[1.0, 3.0]])
    assert on_actions(gmpo(out, of).values, of) == [-2, -2]
