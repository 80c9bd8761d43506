"""The only place that reduces: a weighted sum over tokens, the same however the batch is split.

    objective = sum_t  w_t * is_t * loss_t  +  sum_k coef_k * sum_t w^k_t * term^k_t

A critic's terms are summed apart: its weights may be another model's, with another optimizer.

The weights were fixed on the whole minibatch, so the sum over microbatches and ranks is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.batch.outputs import PolicyOutput
from trainer.batch.token_batch import TokenBatch
from trainer.losses import LossFunction
from trainer.metrics import AnyMetric, Max, Mean, Metrics, Sum
from trainer.terms import TermFunction


@dataclass(frozen=True, kw_only=True)
class WeightedTerm:
    """A term with its coefficient of this step; `index` is its column of `term_weights`."""

    name: str
    coef: float
    function: TermFunction
    index: int
    critic: bool = False  # trains the critic, not the policy


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectiveOutput:
    total: Tensor  # scalar; this microbatch's part of the policy's objective
    critic: Tensor | None  # likewise, of the critic's terms; None without a critic that learns
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Loss and terms of one step, with plain numbers."""

    loss: LossFunction
    terms: Sequence[WeightedTerm]
    critic_only: bool = False  # the policy is not updated: its part is logged, and adds nothing

    def __call__(self, out: PolicyOutput, micro: TokenBatch) -> ObjectiveOutput:
        """This microbatch's share of the objective; zero, but attached, without trained tokens.

        Where no earlier pass computed `old_logprobs` (one update per step), the ratio is taken
        against this pass itself: its value is one and its gradient is the policy gradient.
        """
        if not micro.has("old_logprobs"):
            micro = micro.replace(old_logprobs=out.logprobs.detach())
        weights = micro.loss_weights
        result = self.loss(out, micro)
        policy_loss = _weighted(result.values, weights * micro.importance_weights)
        metrics = Metrics({"loss/policy": Sum(float(policy_loss.detach()))})
        metrics += _named(result.metrics, "loss")
        total = policy_loss
        # the factor zero keeps ranks without trained tokens in step
        critic = None if out.values is None else out.values.sum() * 0
        for term in self.terms:
            output = term.function(out, micro)
            value = _weighted(output.values, micro.term_weights[:, term.index])
            if term.critic:
                assert critic is not None, "a critic's term, and no critic that learns"
                critic = critic + term.coef * value
            else:
                total = total + term.coef * value
            metrics += {f"term/{term.name}": Sum(float(value.detach()))}
            metrics += _named(output.metrics, "term")
        total = total + out.logprobs.sum() * 0
        metrics += {"loss/total": Sum(float(total.detach()))}
        if critic is not None:
            metrics += {"critic/loss": Sum(float(critic.detach()))}
        mask = micro.train_mask
        metrics += {"policy/entropy": Mean.over(out.entropy, mask)}
        ratio = (out.logprobs.detach() - micro.old_logprobs)[mask].exp()
        metrics += {"loss/ratio_mean": Mean.over(ratio), "loss/ratio_max": Max.over(ratio)}
        return ObjectiveOutput(
            total=total * 0 if self.critic_only else total, critic=critic, metrics=metrics
        )


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum; a token of weight 0 cannot leak a NaN."""
    return torch.where(weights != 0, values * weights, torch.zeros_like(values)).sum()


def _named(metrics: Mapping[str, AnyMetric], area: str) -> dict[str, AnyMetric]:
    """A function's own metric names, filed under `area/` unless they name an area themselves."""
    return {name if "/" in name else f"{area}/{name}": metric for name, metric in metrics.items()}
