import pytest
import torch

from recipes.errors import RecipeError
from tests.support.builders import annotated, batch
from trainer.batch import PolicyOutput
from trainer.ops.value_bins import hl_gauss, two_hot
from trainer.terms import term
from trainer.terms.value_hl_gauss import value_hl_gauss

EXAMPLES = [{}, {"sigma": 0.0, "low": -1.0, "high": 2.0}]


def at(logits: torch.Tensor, reward: float):
    of = annotated(batch([[reward]], [[1]], prompts=[1]))
    zeros = torch.zeros(2)
    table = torch.stack([torch.ones(len(logits)), logits]).requires_grad_()
    out = PolicyOutput(logprobs=zeros, entropy=zeros, values=zeros, value_logits=table)
    return out, of.replace(values=torch.zeros(2))


def test_is_least_where_the_bins_are_the_target():
    wanted = hl_gauss(torch.tensor([0.37]), 0.0, 1.0, 5, sigma=0.75)[0]
    out, of = at(wanted.log(), 0.37)
    values = value_hl_gauss(out, of, low=0.0, high=1.0).values
    values.sum().backward()
    entropy = -(wanted * wanted.log()).sum()
    torch.testing.assert_close(values, torch.stack([torch.tensor(0.0), entropy]))
    torch.testing.assert_close(out.value_logits.grad, torch.zeros(2, 5), atol=1e-6, rtol=0)


def test_without_a_width_the_target_is_two_hot():
    out, of = at(torch.zeros(5), 0.35)
    value_hl_gauss(out, of, low=0.0, high=1.0, sigma=0.0).values.sum().backward()
    wanted = two_hot(torch.tensor([0.35]), 0.0, 1.0, 5)[0]
    torch.testing.assert_close(out.value_logits.grad[1], 0.2 - wanted)


def test_a_return_outside_the_range_is_held_at_its_edge():
    values = [
        value_hl_gauss(*at(torch.arange(5.0), reward), low=0.0, high=1.0).values[1].item()
        for reward in (1.0, 7.0)
    ]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(("reward", "low", "high"), [(-0.5, 1, 0), (0.5, 0, 0), (1.5, 0, 1)])
def test_returns_outside_the_range_are_counted_and_not_hidden(reward, low, high):
    metrics = value_hl_gauss(*at(torch.zeros(5), reward), low=0.0, high=1.0).metrics
    assert metrics["return_low_frac"].value == low
    assert metrics["return_high_frac"].value == high
    assert metrics["return_mean"].value == reward
    assert metrics["value_error"].value == pytest.approx((0.5 - reward) ** 2)


def test_an_empty_range_is_refused():
    with pytest.raises(RecipeError, match="low: 1 is not below high 1"):
        term.bind({"name": "value_hl_gauss", "low": 1.0, "high": 1.0})
