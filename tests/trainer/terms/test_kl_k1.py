import torch

from tests.support.builders import annotated, batch, output
from tests.trainer.terms.softmax import expected_gradient
from trainer.terms.kl_k1 import kl_k1


def test_is_the_difference_of_the_logprobs():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    fixed = of.old_logprobs - torch.tensor([0.0, 0.25, -2.0])
    expected = torch.tensor([0.0, 0.25, -2.0])
    torch.testing.assert_close(kl_k1(output(of), of.replace(ref_logprobs=fixed)).values, expected)
    old = kl_k1(output(of), of.replace(old_logprobs=fixed), to="old").values
    torch.testing.assert_close(old, expected)


def test_its_expected_gradient_is_zero():
    torch.testing.assert_close(expected_gradient(kl_k1), torch.zeros(5), atol=1e-6, rtol=0)
