import math
import statistics

import pytest
import torch

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.advantages import advantage
from trainer.advantages.beta_norm import beta_norm

EXAMPLES = [{"low": -5.0, "high": 5.0}, {"components": ["format"]}]


def by_hand(rates: list[float], rewards: list[list[float]]) -> list[float]:
    """One number for each sample, from the formulas."""
    mean, variance = statistics.fmean(rates), statistics.variance(rates)
    size = mean * (1 - mean) / variance - 1
    alpha, beta = max(1, 1 + size * mean / 3), max(1, 1 + size * (1 - mean) / 3)
    norm = math.gamma(alpha) * math.gamma(beta) / math.gamma(alpha + beta)
    values = []
    for rate, row in zip(rates, rewards, strict=True):
        density = rate ** (alpha - 1) * (1 - rate) ** (beta - 1) / norm
        weight = min(1 / density, 1e6) if density else 1e6
        values += [(reward - rate) * weight for reward in row]
    return values


def test_three_groups_by_the_formulas():
    rewards = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    of = batch(rewards, [[1] * 4] * 3)
    # mean 1/2, variance 1/16: size 3, alpha = beta = 3/2, density 8/pi sqrt(p (1 - p))
    values = beta_norm(of)[of.action_mask].tolist()
    assert values == pytest.approx(by_hand([0.25, 0.5, 0.75], rewards), rel=1e-5)
    assert values[0] == pytest.approx(0.75 / (8 / math.pi * math.sqrt(3 / 16)), rel=1e-5)


def test_skewed_pass_rates():
    rewards = [[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]
    of = batch(rewards, [[1] * 4] * 3)
    values = beta_norm(of)[of.action_mask].tolist()
    assert values == pytest.approx(by_hand([0.25, 0.25, 0.5], rewards), rel=1e-4)


@pytest.mark.parametrize(
    "rewards",
    [[[1, 0], [1, 0]], [[1, 0, 0, 1]], [[1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 1, 1]]],
)
def test_equal_pass_rates_leave_the_centred_reward(rewards):
    of = batch(rewards, [[1] * len(row) for row in rewards])
    expected = [r - statistics.fmean(row) for row in rewards for r in row]
    assert beta_norm(of)[of.action_mask].tolist() == pytest.approx(expected)


def test_groups_all_right_or_all_wrong_get_zero_and_no_nan():
    assert not beta_norm(batch([[1, 1], [0, 0], [0, 0]])).any()
    assert not beta_norm(batch([[1, 1], [1, 1]])).any()
    assert not beta_norm(batch([[0.5], [0.25]])).any()


def test_decomposition_averages_over_components_normalised_alone():
    components = {"answer": [[1, 0], [1, 1]], "format": [[0, 0], [1, 0]]}
    of = batch([[9, 9], [9, 9]], [[1, 1], [1, 1]], components=components)
    alone = [beta_norm(of.replace(rewards=of.components[:, k])) for k in (0, 1)]
    torch.testing.assert_close(beta_norm(of, components=["answer", "format"]), sum(alone) / 2)


def test_a_range_is_mapped_to_zero_and_one():
    of = batch([[1, 0, 0, 0], [1, 1, 0, 0]])
    wide = of.replace(rewards=of.rewards * 2 - 1)
    torch.testing.assert_close(beta_norm(wide, low=-1.0, high=1.0), beta_norm(of))


def test_an_empty_range_is_refused():
    with pytest.raises(RecipeError, match="low: 1 is not below high 1"):
        advantage.bind({"name": "beta_norm", "low": 1.0, "high": 1.0})


@pytest.mark.parametrize("rewards", [[1.5, 0], [1, -0.5]])
def test_a_reward_outside_the_range_is_refused(rewards):
    with pytest.raises(RecipeError, match="from 0 to 1, and this step has others"):
        beta_norm(batch([rewards]))


def test_one_component_outside_the_range_is_enough():
    of = batch([[0, 1]], components={"format": [[0, 1]], "style": [[0, 2]]})
    with pytest.raises(RecipeError, match="from 0 to 1, and this step has others"):
        beta_norm(of, components=["format", "style"])


def test_pass_rates_that_hardly_differ_stay_finite():
    rewards = [[0.5, 0.5001], [0.5, 0.5], [0.5, 0.4999]]
    assert bool(beta_norm(batch(rewards)).isfinite().all())


def test_a_missing_component_is_not_a_wrong_answer():
    nan = float("nan")
    full = batch([[0] * 3] * 2, [[1] * 3] * 2, components={"format": [[1, 0, 0], [1, 1, 0]]})
    rows = [[1, 0, 0, nan], [1, 1, 0, nan]]
    more = batch([[0] * 4] * 2, [[1] * 4] * 2, components={"format": rows})
    first, second = beta_norm(full, components=["format"])[full.action_mask].reshape(2, 3).tolist()
    found = beta_norm(more, components=["format"])[more.action_mask].tolist()
    assert found == [*first, 0, *second, 0]


def test_a_sample_is_averaged_over_the_components_that_it_has():
    nan = float("nan")
    both = {"format": [[1, 0]], "style": [[nan, 1]]}
    of = batch([[0, 0]], [[1, 1]], components=both)
    # format: 0.5, -0.5 around its mean; style: one sample alone, 0
    assert beta_norm(of, components=["format", "style"])[of.action_mask].tolist() == [0.5, -0.25]


def test_a_component_that_a_whole_group_lacks_says_nothing_of_the_other_groups():
    nan = float("nan")
    rows = [[1, 0, 0], [1, 1, 0]]
    full = batch([[0] * 3] * 2, [[1] * 3] * 2, components={"format": rows})
    more = batch([[0] * 3] * 3, [[1] * 3] * 3, components={"format": [*rows, [nan] * 3]})
    expected = beta_norm(full, components=["format"])[full.action_mask].tolist()
    assert beta_norm(more, components=["format"])[more.action_mask].tolist() == [*expected, 0, 0, 0]
