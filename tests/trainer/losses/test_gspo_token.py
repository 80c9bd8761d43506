import pytest
import torch

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.gspo import gspo
from trainer.losses.gspo_token import gspo_token

EXAMPLES = [{}, {"clip_low": 0.2, "clip_high": 0.2}]


def test_with_one_advantage_for_the_sample_it_is_gspo():
    out, of = at([[1.2, 0.9, 1.0], [0.8]], [[2.0, 2.0, 2.0], [-1.0]])
    bounds = {"clip_low": 0.3, "clip_high": 0.3}
    values, expected = gspo_token(out, of, **bounds).values, gspo(out, of, **bounds).values
    torch.testing.assert_close(values, expected)
    gradient, wanted = (
        torch.autograd.grad(v[of.seq_ids == 0].sum(), out.logprobs)[0] for v in (values, expected)
    )
    torch.testing.assert_close(gradient, wanted)


def test_each_token_follows_its_own_advantage():
    out, of = at([[4.0, 1.0]], [[1.0, 0.0]])
    values = gspo_token(out, of, clip_high=9.0).values
    values.sum().backward()
    assert on_actions(values, of) == pytest.approx([-2, 0])
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-2, 0])
