import pytest
import torch

from recipes.errors import RecipeError
from tests.trainer.losses.tokens import at, on_actions
from trainer.losses import loss
from trainer.losses.bapo import bapo, bound_stats
from trainer.losses.ppo_clip import ppo_clip

EXAMPLES = [
    {},
    {"criterion": "pos_over_neg", "target": 1.0, "order": "lower_first"},
    {"contribution": "learning_tokens"},
]
PAPER = {
    "low": [0.6, 0.9, 0.1],
    "high": [1.2, 3.0, 0.2],
    "target": 0.4 - 1e-6,
    "criterion": "pos_over_total",
    "order": "upper_first",
    "contribution": "surrogate_value",
}


def bounds(ratios, advantages, **changes):
    out, of = at([ratios], [advantages])
    found = bound_stats(of.replace(current_logprobs=out.logprobs.detach()), **{**PAPER, **changes})
    assert torch.equal(found, found[:1].expand_as(found))
    return [round(value, 4) for value in found[0].tolist()]


@pytest.mark.parametrize("order", ["upper_first", "lower_first"])
def test_a_balanced_minibatch_keeps_its_start_bounds(order):
    assert bounds([1.0, 1.0], [1.0, -1.0], order=order) == [0.6, 1.2, 0.5]


def test_the_upper_bound_is_raised_until_the_share_is_met():
    # positive min(2.5, c), negative 2.4: c = 1.6 gives 1.6 / 4.0 = 0.4
    assert bounds([2.5, 1.2, 1.2], [1.0, -1.0, -1.0]) == [0.6, 1.6, 0.4]


def test_without_positive_tokens_both_run_to_their_ends():
    assert bounds([1.0], [-1.0]) == [0.9, 3.0, 0.0]


@pytest.mark.parametrize("criterion", ["pos_over_total", "pos_over_neg"])
def test_without_negative_tokens_the_start_bounds_stay(criterion):
    assert bounds([1.0], [1.0], criterion=criterion) == [0.6, 1.2, 1.0]


def test_nothing_to_learn_keeps_the_start_bounds():
    assert bounds([1.0], [0.0])[:2] == [0.6, 1.2]


def test_raising_the_lower_bound_first_can_put_the_target_out_of_reach():
    ratios, advantages = [1.6, 0.1, 0.1, 0.1, 0.1], [1.0, -1.0, -1.0, -1.0, -1.0]
    # upper first: 1.6 / (1.6 + 4 * 0.6) = 0.4 at c_high = 1.6
    assert bounds(ratios, advantages) == [0.6, 1.6, 0.4]
    # lower first: the negative side has grown to 3.6 when the upper bound's turn comes
    low, high, share = bounds(ratios, advantages, order="lower_first")
    assert (low, high) == (0.9, 3.0)
    assert share == pytest.approx(1.6 / 5.2, abs=1e-4)


def test_raising_the_lower_bound_never_raises_the_positive_share():
    ratios, advantages = [1.1, 0.2, 0.95], [1.0, -1.0, -2.0]
    shares = [
        bounds(ratios, advantages, low=[c, c, 0.1], high=[1.2, 1.2, 1])[2] for c in (0.6, 0.9)
    ]
    assert shares[1] <= shares[0]


def test_positive_over_negative_is_the_authors_criterion():
    # 0.667 of the negative side is 0.4 of the total
    kwargs = {"criterion": "pos_over_neg", "target": 2 / 3 - 1e-6}
    assert bounds([2.5, 1.2, 1.2], [1.0, -1.0, -1.0], **kwargs) == [0.6, 1.6, 0.4]


def test_counting_learning_tokens_only():
    # at c_high 1.2 the positive token is clipped and counts nothing, until the bound passes it
    found = bounds([1.5, 1.0], [1.0, -1.0], contribution="learning_tokens")
    assert found == [0.6, 1.6, 0.6]


def test_the_loss_is_ppo_with_the_bounds_it_was_given():
    out, of = at([[2.0, 0.5, 0.5, 1.0]], [[1.0, -1.0, -1.0, 1.0]])
    found = torch.tensor([0.7, 1.4, 0.5]).expand(of.num_tokens, 3)
    result = bapo(out, of.replace(minibatch_stats=found))
    expected = ppo_clip(out, of, clip_low=0.3, clip_high=0.4).values
    torch.testing.assert_close(result.values, expected)
    assert on_actions(result.values, of) == pytest.approx([-1.4, 0.7, 0.7, -1])
    assert result.metrics["bound_high"].value == pytest.approx(1.4)
    # one token above 1.4, two below 0.7, one between
    assert result.metrics["clip_high_frac"].value == 0.25
    assert result.metrics["clip_low_frac"].value == 0.5


def test_a_range_without_a_step_is_refused():
    with pytest.raises(RecipeError, match=r"low: a range from 0.9 to 0.6 .* is an empty range"):
        loss.bind({"name": "bapo", "low": [0.9, 0.6, 0.1]})
    with pytest.raises(RecipeError, match=r"high: a range from 1.2 to 3 in steps of 0 is an empty"):
        loss.bind({"name": "bapo", "high": [1.2, 3.0, 0.0]})
