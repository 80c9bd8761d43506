import statistics

import pytest
import torch

from tests.support.builders import batch
from trainer.advantages.grpo import grpo
from trainer.batch import TokenBatch


def by_loops(of: TokenBatch, std_normalize: bool, eps: float) -> list[float]:
    """One group at a time, in plain Python."""
    tokens = []
    for t in range(of.num_tokens):
        s = int(of.seq_ids[t])
        mates = [
            float(r) for r, g in zip(of.rewards, of.group_ids, strict=True) if g == of.group_ids[s]
        ]
        value = float(of.rewards[s]) - statistics.fmean(mates)
        if std_normalize:
            value /= (statistics.stdev(mates) if len(mates) > 1 else 0.0) + eps
        tokens.append(value if of.action_mask[t] else 0.0)
    return tokens


def test_two_right_of_four_are_0_866_deviations_above_the_mean():
    of = batch([[1, 0, 0, 1]], [[1, 1, 1, 1]])
    values = grpo(of)[of.action_mask]
    expected = torch.tensor([0.866, -0.866, -0.866, 0.866])
    torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)


def test_one_right_of_four():
    of = batch([[1, 0, 0, 0]], [[1, 1, 1, 1]])
    torch.testing.assert_close(
        grpo(of)[of.action_mask], torch.tensor([1.5, -0.5, -0.5, -0.5]), atol=1e-5, rtol=0
    )


def test_without_normalisation_is_the_distance_from_the_mean():
    of = batch([[1, 0, 0, 1], [3, 1, 1, 1]], [[2, 1, 1, 1], [1, 1, 1, 1]])
    values = grpo(of, std_normalize=False)[of.action_mask]
    assert values.tolist() == [0.5, 0.5, -0.5, -0.5, 0.5, 1.5, -0.5, -0.5, -0.5]


@pytest.mark.parametrize("std_normalize", [True, False])
def test_equals_a_loop_over_groups(std_normalize):
    of = batch([[0.3, -1.0, 2.5], [0.25], [1, 1], [0, 1]], [[3, 0, 1], [2], [[2, 1], 4], [1, 1]])
    expected = torch.tensor(by_loops(of, std_normalize, 1e-6))
    torch.testing.assert_close(grpo(of, std_normalize=std_normalize), expected)


def test_a_positive_affine_change_of_rewards_is_invisible():
    of = batch([[0.3, -1.0, 2.5], [0, 1, 1]])
    moved = of.replace(rewards=5 * of.rewards - 7)
    torch.testing.assert_close(grpo(moved), grpo(of), atol=1e-4, rtol=1e-4)


def test_group_of_one_gets_zero():
    assert not grpo(batch([[1], [5]])).any()
