import torch

from tests.support.builders import annotated, batch, output
from tests.trainer.terms.softmax import expected_gradient, reverse_kl
from trainer.terms.kl_k2 import kl_k2


def test_is_half_the_squared_difference():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    fixed = of.old_logprobs - torch.tensor([0.0, 0.5, -2.0])
    expected = torch.tensor([0.0, 0.125, 2.0])
    torch.testing.assert_close(kl_k2(output(of), of.replace(ref_logprobs=fixed)).values, expected)
    old = kl_k2(output(of), of.replace(old_logprobs=fixed), to="old").values
    torch.testing.assert_close(old, expected)


def test_its_expected_gradient_is_that_of_the_reverse_kl():
    torch.testing.assert_close(expected_gradient(kl_k2), reverse_kl())
