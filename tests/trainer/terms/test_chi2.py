import math

import pytest
import torch

from tests.support.builders import annotated, batch, output
from tests.trainer.terms.softmax import LOGITS, REFERENCE, expected_gradient, forward_kl
from trainer.reductions.sequence_mean import sequence_mean
from trainer.terms.chi2 import chi2, divergence_stats

EXAMPLES = [{}, {"root": False}]


def at(log_ratios: list[list[float]]):
    """A sample for each row, whose tokens have these log ratios to the reference."""
    of = annotated(batch([[1] * len(log_ratios)], [[len(row) for row in log_ratios]], prompts=[1]))
    flat = torch.tensor([value for row in log_ratios for value in (5.0, *row)])
    return output(of, logprobs=of.ref_logprobs + flat), of


def test_is_that_of_the_sum_over_a_samples_tokens():
    out, of = at([[0.5, 0.5], [-2.0]])
    values = chi2(out, of, root=False).values.tolist()
    one, two = math.e + 1 / math.e - 2, math.exp(2) + math.exp(-2) - 2
    assert values == pytest.approx([0, one, one, 0, two], rel=1e-5)


def test_the_mean_over_samples_of_the_rooted_values_is_the_root_of_the_mean():
    out, of = at([[0.5, 0.5], [-2.0], []])
    one, two = math.e + 1 / math.e - 2, math.exp(2) + math.exp(-2) - 2
    stats = divergence_stats(of.replace(current_logprobs=out.logprobs.detach()))
    assert stats[0].item() == pytest.approx((one + two) / 2, rel=1e-5)
    total = (chi2(out, of.replace(minibatch_stats=stats)).values * sequence_mean(of)).sum()
    assert total.item() == pytest.approx(math.sqrt((one + two) / 2), rel=1e-5)
    total.backward()
    rooted = out.logprobs.grad.clone()
    again, _ = at([[0.5, 0.5], [-2.0], []])
    whole = chi2(again, of, root=False).values * sequence_mean(of)
    whole.sum().sqrt().backward()
    torch.testing.assert_close(rooted, again.logprobs.grad)


def test_below_the_floor_the_root_has_no_gradient():
    out, of = at([[0.001]])
    stats = divergence_stats(of.replace(current_logprobs=out.logprobs.detach()))
    values = chi2(out, of.replace(minibatch_stats=stats)).values
    values.sum().backward()
    assert values.tolist() == pytest.approx([0, 0.01])
    assert not out.logprobs.grad.any()


def test_beyond_ten_nats_it_is_a_straight_line():
    out, of = at([[12.0]])
    values = chi2(out, of, root=False).values
    assert values[1].item() == pytest.approx(math.exp(10) * 3 + math.exp(-12) - 2, rel=1e-5)


def test_the_expected_gradient_is_half_of_chi_squared_plus_forward_kl():
    logits = LOGITS.clone().requires_grad_()
    (logits.log_softmax(0).exp() ** 2 / REFERENCE.exp()).sum().backward()
    gradient = expected_gradient(lambda out, of: chi2(out, of, root=False))
    torch.testing.assert_close(gradient, logits.grad / 2 + forward_kl())
