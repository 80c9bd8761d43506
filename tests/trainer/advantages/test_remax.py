import torch

from tests.support.builders import batch
from trainer.advantages.remax import remax


def test_is_the_difference_from_the_greedy_completion():
    of = batch([[1, 0], [1, 0]], [[1, 2], [1, 1]]).replace(
        greedy_rewards=torch.tensor([0.0, 0, 1, 1])
    )
    assert remax(of)[of.action_mask].tolist() == [1, 0, 0, 0, -1]


def test_the_limit_acts_on_the_difference():
    of = batch([[9, -9]], [[1, 1]]).replace(greedy_rewards=torch.tensor([8.5, 8.5]))
    assert remax(of, limit=5.0)[of.action_mask].tolist() == [0.5, -5]


def test_a_discount_counts_from_the_last_token():
    of = batch([[1]], [[3]], prompts=[1]).replace(greedy_rewards=torch.tensor([0.0]))
    assert remax(of, gamma=0.5).tolist() == [0, 0.25, 0.5, 1]
