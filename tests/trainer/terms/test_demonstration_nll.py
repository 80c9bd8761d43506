import torch

from tests.support.builders import annotated, batch, output
from trainer.terms.demonstration_nll import demonstration_nll

EXAMPLES = [{}, {"of": "all"}]


def test_right_samples_are_imitated_and_wrong_ones_are_not():
    of = annotated(batch([[1, 0]], [[1, 1]], prompts=[1]))
    out = output(of, logprobs=torch.tensor([0.0, -2.0, 0.0, -3.0]))
    values = demonstration_nll(out, of).values
    values.sum().backward()
    assert values.tolist() == [0, 2, 0, 0]
    assert out.logprobs.grad.tolist() == [-1, -1, 0, 0]


def test_all_samples_are_imitated_when_asked():
    of = annotated(batch([[1, 0]], [[1, 1]], prompts=[1]))
    out = output(of, logprobs=torch.tensor([0.0, -2.0, 0.0, -3.0]))
    assert demonstration_nll(out, of, of="all").values.tolist() == [0, 2, 0, 3]
