import pytest
import torch

from tests.support.builders import batch
from trainer.corrections.off_policy_sequence_mask import off_policy_sequence_mask


@pytest.mark.parametrize(
    ("gaps", "advantage", "kept"),
    [
        ([0.9, 0.3], -1.0, 0),  # engine likelier by 0.6 nats a token, and the sample is bad
        ([0.9, 0.3], 1.0, 1),
        ([0.9, -0.3], -1.0, 1),  # 0.3 nats
        ([-9.0, -9.0], -1.0, 1),  # the trainer is likelier
    ],
)
def test_only_a_bad_sample_of_an_older_policy_is_dropped(gaps, advantage, kept):
    of = batch([[0]], [[2]], prompts=[1])
    of = of.replace(
        old_logprobs=of.behavior_logprobs - torch.tensor([7.0, *gaps]),
        advantages=torch.tensor([0.0, advantage, advantage]),
    )
    assert off_policy_sequence_mask(of, threshold=0.5).tolist() == [0, kept, kept]
