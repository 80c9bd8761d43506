"""Policy gradient weighted by the unclipped ratio."""

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.ops.segments import log_policy_ratio


@loss.register(needs=("old_logprobs",), paper="https://doi.org/10.1007/BF00992696")
def importance_sampling(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    """Minus the ratio of the policy to the old policy, times the advantage.

    `ppo_clip` without the clip: unbiased after several updates on the same samples, and unbounded
    in variance. With one update per step the ratio is 1 and this is REINFORCE's gradient.
    Williams 1992 for the gradient; the ratio is textbook importance sampling, taken token by token.
    Tokens that are no actions get 0. Departure: log ratios are held within +-20.
    Returns values [T], in advantage units.
    """
    return LossOutput(values=-batch.advantages * log_policy_ratio(out, batch).exp())
