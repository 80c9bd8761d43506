import torch

from tests.support.builders import annotated, batch, output
from tests.trainer.terms.softmax import expected_gradient, reverse_kl
from trainer.terms.teacher_kl import teacher_kl


def test_on_fresh_samples_it_is_the_difference_of_the_logprobs():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    of = of.replace(teacher_logprobs=of.old_logprobs - torch.tensor([7.0, 0.5, -2.0]))
    out = output(of)
    values = teacher_kl(out, of).values
    values.sum().backward()
    torch.testing.assert_close(values, torch.tensor([0, 0.5, -2.0]))
    torch.testing.assert_close(out.logprobs.grad, torch.tensor([0, 0.5, -2.0]))


def test_a_stale_sample_is_weighed_by_its_ratio():
    of = annotated(batch([[1]], [[1]], prompts=[1]))
    of = of.replace(teacher_logprobs=of.old_logprobs)
    out = output(of, logprobs=of.old_logprobs + torch.tensor([0.0, 2.0]).clamp(min=1).log())
    two = torch.tensor(2.0)
    torch.testing.assert_close(teacher_kl(out, of).values[1], 2 * two.log())


def test_its_expected_gradient_is_that_of_the_reverse_kl():
    gradient = expected_gradient(
        lambda out, of: teacher_kl(out, of.replace(old_logprobs=out.logprobs.detach()))
    )
    torch.testing.assert_close(gradient, reverse_kl())
