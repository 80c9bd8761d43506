import math

import torch

from tests.support.builders import annotated, batch, output
from trainer.losses.importance_sampling import importance_sampling


def test_is_minus_ratio_times_advantage():
    of = annotated(batch([[1]], [[2]], prompts=[1])).replace(
        advantages=torch.tensor([0.0, 2.0, -1.0])
    )
    steps = torch.tensor([0.0, math.log(3.0), math.log(0.5)])
    out = output(of, logprobs=of.old_logprobs + steps)
    torch.testing.assert_close(importance_sampling(out, of).values, torch.tensor([0, -6.0, 0.5]))


def test_gradient_at_ratio_one_is_minus_the_advantage():
    of = annotated(batch([[1]], [[2]], prompts=[1])).replace(
        advantages=torch.tensor([0.0, 2.0, -1.0])
    )
    out = output(of)
    importance_sampling(out, of).values.sum().backward()
    torch.testing.assert_close(out.logprobs.grad, torch.tensor([0.0, -2.0, 1.0]))
