import pytest

from tests.trainer.losses.tokens import at, on_actions
from trainer.losses.gspo import gspo

EXAMPLES = [{}, {"clip_low": 0.2, "clip_high": 0.2}]


def test_the_ratio_is_the_geometric_mean_of_the_tokens():
    out, of = at([[4.0, 1.0], [1.0]], [[1.0, 1.0], [-1.0]])
    # sqrt(4 * 1) = 2
    assert on_actions(gspo(out, of, clip_high=9.0).values, of) == pytest.approx([-2, -2, 1])


def test_a_sample_is_clipped_as_a_whole():
    out, of = at([[4.0, 1.0], [0.25, 1.0]], [[1.0, 1.0], [-1.0, -1.0]])
    result = gspo(out, of, clip_low=0.2, clip_high=0.5)
    assert on_actions(result.values, of) == pytest.approx([-1.5, -1.5, 0.8, 0.8])
    result.values.sum().backward()
    assert not out.logprobs.grad.any()
    numbers = {name: m.value for name, m in result.metrics.items()}
    assert numbers == {"clip_high_frac": 0.5, "clip_low_frac": 0.5}


def test_every_token_of_a_sample_gets_the_same_gradient():
    out, of = at([[2.0, 0.5]], [[3.0, 3.0]])
    gspo(out, of).values.mean().backward()
    # ratio 1, mean over 3 tokens of two equal values: -3 * (1/2) * 2 / 3
    assert on_actions(out.logprobs.grad, of) == pytest.approx([-1, -1])
