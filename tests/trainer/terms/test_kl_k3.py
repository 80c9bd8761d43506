import torch

from tests.support.builders import annotated, batch, output
from tests.trainer.terms.softmax import expected_gradient, forward_kl, reverse_kl
from trainer.terms.kl_k3 import kl_k3

EXAMPLES = [{}, {"ratio_weighted": True}]


def test_is_inverse_ratio_minus_one_plus_its_log():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    fixed = of.old_logprobs - torch.tensor([1.0, 2.0, 0.5]).log()
    # ratio 2: 1/2 - 1 + 0.6931; ratio 1/2: 2 - 1 - 0.6931
    expected = torch.tensor([0.0, 0.1931, 0.3069])
    torch.testing.assert_close(
        kl_k3(output(of), of.replace(ref_logprobs=fixed)).values, expected, atol=1e-4, rtol=0
    )
    old = kl_k3(output(of), of.replace(old_logprobs=fixed), to="old").values
    torch.testing.assert_close(old, expected, atol=1e-4, rtol=0)


def test_its_expected_gradient_is_that_of_the_forward_kl():
    gradient = expected_gradient(kl_k3)
    torch.testing.assert_close(gradient, forward_kl())
    assert not torch.allclose(gradient, reverse_kl(), atol=1e-2)


def test_weighted_by_the_ratio_its_expected_gradient_is_that_of_the_reverse_kl():
    gradient = expected_gradient(
        lambda out, of: kl_k3(
            out, of.replace(old_logprobs=out.logprobs.detach()), ratio_weighted=True
        )
    )
    torch.testing.assert_close(gradient, reverse_kl())
