import pytest
import torch

from tests.support.builders import annotated, batch
from trainer.batch import PolicyOutput
from trainer.terms.value_loss import value_loss

EXAMPLES = [{}, {"clip": 0.0, "lam": 0.9, "gamma": 0.99}]


def at(old: list[float], now: list[float], reward: float):
    """One sample; the critic's values before and now."""
    of = annotated(batch([[reward]], [[len(old)]], prompts=[1]))
    zeros = torch.zeros(of.num_tokens)
    values = torch.tensor([9.0, *now]).requires_grad_()
    out = PolicyOutput(logprobs=zeros, entropy=zeros, values=values)
    return out, of.replace(values=torch.tensor([9.0, *old]))


def test_is_half_the_squared_distance_from_the_reward():
    out, of = at([0.5, 0.5], [0.5, 1.0], 2.0)
    values = value_loss(out, of, clip=0.0).values
    values.sum().backward()
    assert values.tolist() == [0, 1.125, 0.5]
    assert out.values.grad.tolist() == [0, -1.5, -1.0]


def test_a_value_that_moved_beyond_the_clip_has_no_gradient():
    # now 1.5 with old 0.5 and clip 0.2: the clipped 0.7 is farther from 2
    out, of = at([0.5], [1.5], 2.0)
    values = value_loss(out, of, clip=0.2).values
    values.sum().backward()
    assert values.tolist() == pytest.approx([0, 1.3**2 / 2])
    assert not out.values.grad.any()


def test_a_value_that_moved_away_is_not_clipped():
    out, of = at([0.5], [0.0], 2.0)
    values = value_loss(out, of, clip=0.2).values
    values.sum().backward()
    assert values.tolist() == [0, 2.0]
    assert out.values.grad.tolist() == [0, -2.0]


def test_the_targets_decay_is_its_own():
    # lam 0: the target of a token is the next token's old value, the last one's is the reward
    out, of = at([0.25, 0.75], [0.0, 0.0], 1.0)
    values = value_loss(out, of, clip=0.0, lam=0.0).values.tolist()
    assert values == pytest.approx([0, 0.75**2 / 2, 0.5])


def test_a_value_that_fell_beyond_the_clip_has_no_gradient():
    # now -0.5 with old 0.5 and clip 0.2: the clipped 0.3 is farther from -2
    out, of = at([0.5], [-0.5], -2.0)
    result = value_loss(out, of, clip=0.2)
    result.values.sum().backward()
    assert result.values.tolist() == pytest.approx([0, 2.3**2 / 2])
    assert not out.values.grad.any()
    assert result.metrics["value_clip_frac"].value == 1.0
