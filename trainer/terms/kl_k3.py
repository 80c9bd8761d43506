"""The k3 estimate of the KL from a fixed policy, as a term of the loss."""

from typing import Annotated, Literal

from pydantic import Field

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.segments import LARGEST, log_policy_ratio
from trainer.terms import term


@term.register(
    needs=("{to}_logprobs", "old_logprobs"), paper="https://arxiv.org/abs/2402.03300", tags=("kl",)
)
def kl_k3(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    to: Annotated[
        Literal["ref", "old"],
        Field(
            description="Policy to compare with: the frozen reference, or this step's old policy"
        ),
    ] = "ref",
    ratio_weighted: Annotated[
        bool,
        Field(
            description="Whether to multiply by the policy's ratio, for the gradient of the "
            "reverse KL"
        ),
    ] = False,
) -> LossOutput:
    """exp(-d) - 1 + d, where d is the difference of the log-probs of the policy and the fixed one.

    Never negative, unbiased as a value. As a term its gradient on the policy's own samples is
    that of the forward KL(fixed || policy), which pulls towards all that the fixed policy does;
    `kl_k2` gives the reverse KL's. This is the KL of GRPO (Shao et al. 2024); `ratio_weighted`
    is DeepSeek-V3.2's form of it (https://arxiv.org/abs/2512.02556), whose gradient is exactly the
    reverse KL's, also off-policy. Departure: differences are held within +-20 nats.
    Returns values [T], nats.
    """
    fixed = batch.ref_logprobs if to == "ref" else batch.old_logprobs
    difference = (out.logprobs.float() - fixed).clamp(-LARGEST, LARGEST)
    values = (-difference).exp() - 1 + difference
    if ratio_weighted:
        values = values * log_policy_ratio(out, batch).exp()
    return LossOutput(values=values, metrics={"kl_k3_mean": Mean.over(values, batch.train_mask)})
