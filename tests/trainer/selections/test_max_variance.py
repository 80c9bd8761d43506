import itertools
import statistics

import pytest
import torch

from tests.support.builders import batch, group
from trainer.advantages.grpo import grpo
from trainer.batch import pack
from trainer.monitor.step_metrics import outcomes
from trainer.ops.segments import seq_mean
from trainer.selections.max_variance import max_variance

EXAMPLES = [{"keep": 2}, {}]


def test_two_groups_by_hand():
    of = batch([[0.1, 0.9, 0.5, 0.0], [1, 1, 0, 1]])
    # 0.9 with 0.0, and the only wrong sample with a right one
    assert max_variance(of, keep=2).nonzero().flatten().tolist() == [1, 3, 6, 7]


@pytest.mark.parametrize(
    ("right", "kept_right"),
    [(1, 1), (3, 2), (4, 2), (7, 3)],  # of 8, keep 4: half of each where there are enough
)
def test_binary_rewards_are_balanced(right, kept_right):
    of = batch([[1] * right + [0] * (8 - right)])
    keep = max_variance(of, keep=4)
    assert int(keep.sum()) == 4
    assert int(of.rewards[keep].sum()) == kept_right


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [2, 3, 5])
def test_no_other_subset_of_a_group_varies_more(seed, count):
    values = torch.randn(7, generator=torch.Generator().manual_seed(seed))
    keep = max_variance(batch([values.tolist()]), keep=count)
    best = max(statistics.pvariance(s) for s in itertools.combinations(values.tolist(), count))
    assert statistics.pvariance(values[keep].tolist()) == pytest.approx(best)


def test_advantages_computed_before_it_keep_the_baseline_of_all_samples():
    of = batch([[1, 0, 0, 0, 0, 0, 0, 0]])
    of = of.replace(advantages=grpo(of, std_normalize=False))
    kept = of.select(max_variance(of, keep=4).nonzero().squeeze(1))
    # 1 - 1/8 and 0 - 1/8; the mean of the kept samples is 1/4
    credit = seq_mean(kept.advantages, kept, kept.action_mask)
    assert credit.tolist() == [0.875, -0.125, -0.125, -0.125]


def test_what_is_left_out_is_down_sampled():
    groups = [group([1, 0, 0, 1], group_id=3)]
    of = pack(groups)
    of = of.replace(train_mask=of.action_mask, importance_weights=of.action_mask.float())
    kept = of.select(max_variance(of, keep=2).nonzero().squeeze(1))
    ended = list(outcomes(groups, kept, signal=False).values())
    assert ended == ["trained", "down_sampled", "trained", "down_sampled"]


def test_small_groups_stay_whole_and_equal_rewards_leave_the_first():
    assert max_variance(batch([[1, 0], [1, 1, 1]]), keep=2).tolist() == [
        True, True, True, True, False,
    ]  # fmt: skip
