"""The k1 estimate of the KL from a fixed policy, as a term of the loss."""

from typing import Annotated, Literal

from pydantic import Field

from trainer.batch.outputs import LossOutput, PolicyOutput
from trainer.batch.token_batch import TokenBatch
from trainer.metrics import Mean
from trainer.ops.ratios import LARGEST
from trainer.terms import term


@term.register(
    needs=("{to}_logprobs",),
    paper="http://joschu.net/blog/kl-approx.html",
    tags=("kl", "zero_gradient"),
)
def kl_k1(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    to: Annotated[
        Literal["ref", "old"], Field(description="the frozen reference, or this step's old policy")
    ] = "ref",
) -> LossOutput:
    """Difference of the log-probs of the policy and of the fixed one.

    Unbiased as a value. As a term its expected gradient on the policy's own samples is zero: it
    adds noise and no pull, so `check` refuses it; use `kl_k2`, or the `kl_penalty` shaping, where
    k1 is right.
    Schulman 2020, http://joschu.net/blog/kl-approx.html.
    Returns values [T], nats.
    """
    fixed = batch.ref_logprobs if to == "ref" else batch.old_logprobs
    values = (out.logprobs.float() - fixed).clamp(-LARGEST, LARGEST)
    return LossOutput(values=values, metrics={"kl_k1_mean": Mean.over(values, batch.train_mask)})
