import math

import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.nft import nft

EXAMPLES = [{}, {"weighting": "grpo"}, {"weighting": "uniform", "floor": 0.1}]


def gradients(rate: float, weighting: str) -> list[float]:
    """On-policy, of one right and one wrong token."""
    out, of = at([[1.0], [1.0]], [[0], [0]], correct=[True, False], rates=[rate, rate])
    nft(out, of, weighting=weighting).values.sum().backward()
    return on_actions(out.logprobs.grad, of)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_on_policy_it_is_dr_grpo(rate):
    assert gradients(rate, "dr_grpo") == pytest.approx([-(1 - rate), rate], rel=1e-6)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_on_policy_with_the_square_root_it_is_grpo_with_the_populations_deviation(rate):
    spread = math.sqrt(rate * (1 - rate))
    expected = [-(1 - rate) / spread, rate / spread]
    assert gradients(rate, "grpo") == pytest.approx(expected, rel=1e-6)


def test_off_policy_value_of_a_wrong_token():
    # r = 1/2, ratio 1/2: (1 - 1/4) / (1/2) = 3/2
    out, of = at([[0.5]], [[0]], correct=[False], rates=[0.5])
    values = nft(out, of, weighting="uniform").values
    values.sum().backward()
    assert on_actions(values, of) == pytest.approx([-math.log(1.5)])
    # d(-log left) = r / (1 - r) * ratio / left
    assert on_actions(out.logprobs.grad, of) == pytest.approx([0.5 / 1.5])


def test_a_wrong_token_that_rose_keeps_its_gradient_over_the_floor():
    # ratio 3/2: (1 - 3/4) / (1/2) = 1/2 < 1: held at 1, gradient r / (1 - r) * ratio / 1
    out, of = at([[1.5]], [[0]], correct=[False], rates=[0.5])
    values = nft(out, of, weighting="uniform").values
    values.sum().backward()
    assert on_actions(values, of) == pytest.approx([0], abs=1e-6)
    assert on_actions(out.logprobs.grad, of) == pytest.approx([1.5])


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_problem_all_right_or_all_wrong_gives_nothing(rate):
    assert gradients(rate, "dr_grpo") == [0, 0]
