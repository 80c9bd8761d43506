"""Reward for a policy that stays undecided."""

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.terms import term


@term.register(paper="https://arxiv.org/abs/1602.01783")
def entropy_bonus(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    """Minus the entropy of the next-token distribution, so that minimising raises it.

    Acts on every trained token alike; `kl_cov` and `clip_cov` hold only the tokens that lower
    the entropy most. Mnih et al. 2016. With `coef: {name: target_entropy, ...}` it keeps a level.
    Returns values [T], nats.
    """
    return LossOutput(values=-out.entropy.float())
