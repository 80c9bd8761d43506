"""The k2 estimate of the KL from a fixed policy, as a term of the loss."""

from typing import Annotated, Literal

from pydantic import Field

from trainer.batch import LossOutput, PolicyOutput, TokenBatch
from trainer.metrics import Mean
from trainer.ops.segments import LARGEST
from trainer.terms import term


@term.register(
    needs=("{to}_logprobs",), paper="http://joschu.net/blog/kl-approx.html", tags=("kl",)
)
def kl_k2(
    out: PolicyOutput,
    batch: TokenBatch,
    *,
    to: Annotated[
        Literal["ref", "old"],
        Field(
            description="Policy to compare with: the frozen reference, or this step's old policy"
        ),
    ] = "ref",
) -> LossOutput:
    """Half the squared difference of the log-probs of the policy and of the fixed one.

    Its gradient on the policy's own samples is exactly that of the reverse KL(policy || fixed);
    `kl_k3` gives the forward KL's. As a value it is biased, and close where the policies are.
    Schulman 2020, http://joschu.net/blog/kl-approx.html. Departure: differences are held within
    +-20 nats, and beyond that the gradient is zero.
    Returns values [T], nats.
    """
    fixed = batch.ref_logprobs if to == "ref" else batch.old_logprobs
    values = (out.logprobs.float() - fixed).clamp(-LARGEST, LARGEST) ** 2 / 2
    return LossOutput(values=values, metrics={"kl_k2_mean": Mean.over(values, batch.train_mask)})
