import torch

from tests.support.builders import batch
from trainer.advantages.opo import opo


def test_a_long_wrong_sample_lowers_the_baseline():
    of = batch([[1, 0]], [[1, 3]])
    # baseline (1*1 + 3*0) / 4
    assert opo(of)[of.action_mask].tolist() == [0.75, -0.25, -0.25, -0.25]


def test_equal_lengths_give_the_plain_mean():
    of = batch([[1, 0, 0, 1]], [[2, 2, 2, 2]])
    assert opo(of)[of.action_mask].tolist() == [0.5] * 2 + [-0.5] * 4 + [0.5] * 2


def test_equals_a_loop_over_groups():
    rewards, lengths = [[0.3, -1.0, 2.5], [0.25], [0, 1]], [[3, 0, 1], [2], [4, 1]]
    of = batch(rewards, lengths)
    expected = []
    for row, counts in zip(rewards, lengths, strict=True):
        weighted = sum(r * n for r, n in zip(row, counts, strict=True)) / max(sum(counts), 1)
        for reward, count in zip(row, counts, strict=True):
            expected += [reward - (reward if len(row) == 1 else weighted)] * count
    torch.testing.assert_close(opo(of)[of.action_mask], torch.tensor(expected))
