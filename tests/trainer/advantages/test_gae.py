import pytest
import torch

from rollout.types import Status
from tests.support.builders import batch
from trainer.advantages.gae import gae

EXAMPLES = [{}, {"length_adaptive": 0.5, "standardize": False}]


def sample(values: list[float], reward: float = 1.0):
    of = batch([[reward]], [[len(values)]], prompts=[1])
    return of.replace(values=torch.tensor([9.0, *values]))


def test_a_trace_of_one_is_reward_minus_value():
    of = sample([0.25, 0.5, 0.75])
    values = gae(of, lam=1.0, standardize=False).tolist()
    assert values == pytest.approx([0, 0.75, 0.5, 0.25])


def test_no_trace_is_the_next_difference():
    of = sample([0.25, 0.5, 0.75])
    assert gae(of, lam=0.0, standardize=False).tolist() == pytest.approx([0, 0.25, 0.25, 0.25])


def test_length_adaptive_decay_grows_with_the_sample():
    short, long = sample([0.0] * 2), sample([0.0] * 40)
    # alpha 0.05: 1 - 1/(0.05 * 2) is negative, held at 0; 1 - 1/(0.05 * 40) = 0.5
    assert gae(short, length_adaptive=0.05, standardize=False).tolist() == [0, 0, 1]
    first, *_, before, last = gae(long, length_adaptive=0.05, standardize=False)[1:].tolist()
    assert (first, before, last) == (pytest.approx(0.5**39), 0.5, 1)


def test_a_truncated_sample_ends_in_the_value_0_as_a_finished_one_does():
    ended = sample([0.25, 0.5, 0.75])
    cut = ended.replace(
        status=torch.tensor([int(Status.TRUNCATED_TOKENS)]),
        next_values=torch.tensor([9.0, 0.5, 0.75, 0.625]),
    )
    assert gae(cut, lam=0.0, standardize=False).tolist() == pytest.approx([0, 0.25, 0.25, 0.25])
    assert torch.equal(gae(cut), gae(ended))


def test_standardised_over_the_action_tokens():
    values = gae(sample([0.25, 0.5, 0.75]), lam=1.0)[1:]
    torch.testing.assert_close(values, torch.tensor([1.0, 0, -1]), rtol=1e-4, atol=1e-4)
