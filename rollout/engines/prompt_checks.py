"""What every engine asks of a prompt before it starts."""

from collections.abc import Sequence

import numpy as np

from rollout.engines.context import EngineContext
from rollout.types import Completion, EngineError, Finish, Sampling


def check_prompt(prompt_ids: Sequence[int], vocabulary: int) -> None:
    """Raises EngineError unless there are ids, all of them in the model's vocabulary."""
    if not prompt_ids or min(prompt_ids) < 0 or max(prompt_ids) >= vocabulary:
        raise EngineError(
            f"a prompt of {len(prompt_ids)} tokens that is empty or has ids outside "
            f"0..{vocabulary - 1}: does the tokenizer belong to this model?"
        )


def room(prompt_ids: Sequence[int], sampling: Sampling, context: EngineContext) -> int:
    """Most new tokens; 0 or less when the prompt fills the context."""
    return min(sampling.max_tokens, context.context_length - len(prompt_ids))


NO_ROOM = Completion(
    token_ids=np.zeros(0, dtype=np.int32),
    logprobs=np.zeros(0, dtype=np.float32),
    policy_version=np.zeros(0, dtype=np.int32),
    finish=Finish.LENGTH,
)
"""The completion of a prompt that fills the context."""
