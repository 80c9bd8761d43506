import torch

from tests.support.builders import batch
from trainer.ops.gae import gae_advantages, returns


def by_recursion(rewards, values, gamma, lam):
    """Of one sample: `rewards` and `values` of its action tokens."""
    advantages, running, following = [], 0.0, 0.0
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        running = reward + gamma * following - value + gamma * lam * running
        following = value
        advantages.insert(0, running)
    return advantages


def test_three_tokens_by_hand():
    of = batch([[1]], [[3]], prompts=[1]).replace(values=torch.tensor([9.0, 0.5, 0.25, 0.75]))
    # deltas -0.25, 0.5, 0.25; trace 0.5
    values = gae_advantages(of, gamma=1.0, lam=torch.tensor([0.5]))
    assert values.tolist() == [0, -0.25 + 0.5 * 0.625, 0.5 + 0.5 * 0.25, 0.25]


def test_tool_output_adds_no_difference_and_does_not_decay_the_trace():
    of = batch([[1]], [[[2, 1]]], prompts=[1])
    values = torch.tensor([9.0, 0.5, 0.25, 9.0, 0.75])
    found = gae_advantages(of.replace(values=values), gamma=1.0, lam=torch.tensor([0.5]))
    assert found.tolist() == [0, 0.0625, 0.625, 0, 0.25]


def test_equals_a_recursion_on_ragged_samples():
    lengths = [[4, 1, 0], [[2, 3], 2]]
    of = batch([[0.5, -1, 2], [1, 0]], lengths)
    values = torch.randn(of.num_tokens, generator=torch.Generator().manual_seed(0))
    of = of.replace(values=values)
    lam = torch.tensor([0.9, 0.0, 0.5, 1.0, 0.3])
    found = gae_advantages(of, gamma=0.97, lam=lam)
    for s in range(of.num_sequences):
        own = (of.seq_ids == s) & of.action_mask
        count = int(own.sum())
        rewards = [0.0] * max(count - 1, 0) + [float(of.rewards[s])] * (count > 0)
        expected = by_recursion(rewards, values[own].tolist(), 0.97, float(lam[s]))
        torch.testing.assert_close(found[own], torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert not found[~of.action_mask].any()


def test_without_discount_and_decay_the_return_is_the_reward_whatever_the_values():
    of = batch([[0.5, -1]], [[3, 2]], prompts=[1])
    of = of.replace(values=torch.randn(of.num_tokens, generator=torch.Generator().manual_seed(1)))
    expected = torch.tensor([0, 0.5, 0.5, 0.5, 0, -1, -1])
    torch.testing.assert_close(returns(of, gamma=1.0, lam=1.0), expected)


def test_without_a_trace_the_return_is_the_next_value():
    of = batch([[0.5]], [[3]], prompts=[1]).replace(values=torch.tensor([9.0, 0.25, 0.75, 4.0]))
    assert returns(of, gamma=1.0, lam=0.0).tolist() == [0, 0.75, 4.0, 0.5]
