import torch

from tests.support.builders import annotated, batch, output
from trainer.terms.kl_cov import held_stats, kl_cov

EXAMPLES = [{}, {"frac": 0.3}]


def tokens():
    of = annotated(batch([[1]], [[4]], prompts=[1]))
    # products of the centred values: 4, 1, 1, 4 with signs: token 1 and token 4 agree
    logprobs = torch.tensor([0.0, -1.0, -2.0, -4.0, -5.0])
    advantages = torch.tensor([0.0, 2.0, -1.0, 1.0, -2.0])
    return of.replace(advantages=advantages, current_logprobs=logprobs), logprobs


def test_the_tokens_of_largest_covariance_are_held():
    of, _ = tokens()
    assert held_stats(of, frac=0.5).tolist() == [[0, 0], [1, 4], [0, -1], [0, -1], [1, 4]]


def test_at_least_one_is_held():
    of, _ = tokens()
    assert held_stats(of, frac=0.0)[:, 0].sum() == 1


def test_a_held_token_pays_its_absolute_log_ratio_and_the_others_nothing():
    of, logprobs = tokens()
    moved = torch.tensor([0.0, 0.25, 9.0, 9.0, -0.5])
    of = of.replace(
        old_logprobs=logprobs - moved,
        minibatch_stats=torch.tensor([[0.0, 0], [1, 4], [0, 1], [0, 1], [1, 4]]),
    )
    out = output(of, logprobs=logprobs)
    values = kl_cov(out, of).values
    values.sum().backward()
    torch.testing.assert_close(values, torch.tensor([0, 0.25, 0, 0, 0.5]))
    assert out.logprobs.grad.tolist() == [0, 1, 0, 0, -1]


def test_on_the_first_update_it_does_nothing():
    of, logprobs = tokens()
    of = of.replace(old_logprobs=logprobs, minibatch_stats=torch.ones(5, 2))
    out = output(of, logprobs=logprobs)
    values = kl_cov(out, of).values
    values.sum().backward()
    assert not values.any()
    assert not out.logprobs.grad.any()
