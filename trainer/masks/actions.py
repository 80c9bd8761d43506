"""All tokens the policy sampled."""

from __future__ import annotations

import torch

from trainer.batch import TokenBatch
from trainer.masks import mask


@mask.register()
def actions(batch: TokenBatch) -> torch.Tensor:
    """Every token that the policy sampled; prompts and observations never learn.

    This is also what an empty list of masks means; the other masks keep a part of it.
    Returns bool [T].
    """
    return batch.action_mask.clone()
