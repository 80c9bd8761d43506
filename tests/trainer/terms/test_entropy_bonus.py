import torch

from tests.support.builders import annotated, batch, output
from trainer.terms.entropy_bonus import entropy_bonus


def test_minimising_it_raises_the_entropy():
    of = annotated(batch([[1]], [[2]], prompts=[1]))
    out = output(of)
    values = entropy_bonus(out, of).values
    values.sum().backward()
    torch.testing.assert_close(values, -out.entropy)
    assert out.entropy.grad.tolist() == [-1, -1, -1]
    assert out.logprobs.grad is None
