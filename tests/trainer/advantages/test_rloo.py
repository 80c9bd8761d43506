import torch

from tests.support.builders import batch
from trainer.advantages.rloo import rloo


def test_one_right_of_four_is_one_above_the_others():
    of = batch([[1, 0, 0, 0]], [[1, 1, 1, 1]])
    expected = torch.tensor([1, -1 / 3, -1 / 3, -1 / 3])
    torch.testing.assert_close(rloo(of)[of.action_mask], expected)


def test_two_right_of_four():
    of = batch([[1, 0, 0, 1]], [[1, 1, 1, 1]])
    expected = torch.tensor([2 / 3, -2 / 3, -2 / 3, 2 / 3])
    torch.testing.assert_close(rloo(of)[of.action_mask], expected)


def test_equals_a_loop_over_the_other_samples():
    rewards = [[0.3, -1.0, 2.5], [0.25], [1, 1], [0, 1]]
    of = batch(rewards, [[1, 1, 1], [1], [1, 1], [1, 1]])
    expected = []
    for row in rewards:
        for i, reward in enumerate(row):
            others = row[:i] + row[i + 1 :]
            expected.append(reward - sum(others) / len(others) if others else 0.0)
    torch.testing.assert_close(rloo(of)[of.action_mask], torch.tensor(expected))


def test_group_of_one_gets_zero():
    assert not rloo(batch([[1], [5]])).any()
