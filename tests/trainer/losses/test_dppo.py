import math

import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.dppo import dppo

EXAMPLES = [{}, {"divergence": "kl", "low": 0.05, "high": 0.05}]
OLD = math.exp(-1)  # probability of every token under the old policy: 0.3679


@pytest.mark.parametrize(
    ("probability", "advantage", "gradient"),
    [
        (0.60, 1.0, 0.0),  # rose by 0.23, and should rise more: silent
        (0.50, 1.0, -0.50 / OLD),  # rose by 0.13
        (0.60, -1.0, 0.60 / OLD),  # rose, but should fall
        (0.10, -1.0, 0.0),  # fell by 0.27, and should fall more: silent
        (0.20, -1.0, 0.20 / OLD),  # fell by 0.17
        (0.10, 1.0, -0.10 / OLD),  # fell, but should rise
    ],
)
def test_only_a_probability_that_moved_far_in_the_advantages_direction_is_silent(
    probability, advantage, gradient
):
    out, of = at([[probability / OLD]], [[advantage]])
    dppo(out, of).values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([gradient])


def test_kl_of_token_against_the_rest():
    p, q = OLD, 0.6
    distance = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    for threshold, alive in ((distance + 1e-3, True), (distance - 1e-3, False)):
        out, of = at([[q / p]], [[1.0]])
        values = dppo(out, of, divergence="kl", high=threshold).values
        assert bool(values.any()) == alive


def test_the_weight_is_capped():
    out, of = at([[2.0]], [[-1.0]])
    dppo(out, of, cap=1.5).values.sum().backward()
    assert on_actions(out.logprobs.grad, of) == pytest.approx([1.5])
