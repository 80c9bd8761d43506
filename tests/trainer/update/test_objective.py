import math

import pytest
import torch

from tests.support.builders import annotated, batch, output
from trainer.batch.outputs import LossOutput, PolicyOutput
from trainer.batch.token_batch import ABSENT, TokenBatch
from trainer.losses.importance_sampling import importance_sampling
from trainer.update.objective import Objective, WeightedTerm


def minus_logprobs(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    return LossOutput(values=-out.logprobs * batch.advantages)


def entropy(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
    return LossOutput(values=out.entropy)


PLAIN = Objective(loss=minus_logprobs, terms=[])


def test_the_total_is_the_weighted_sum_of_loss_and_terms():
    data = annotated(batch())
    out = output(data)
    objective = Objective(
        loss=minus_logprobs,
        terms=[WeightedTerm(name="entropy", coef=-0.5, function=entropy, index=0)],
    )
    expected = (data.loss_weights * data.importance_weights * -out.logprobs * data.advantages).sum()
    expected = expected - 0.5 * (data.term_weights[:, 0] * out.entropy).sum()
    torch.testing.assert_close(objective(out, data).total, expected)


def test_a_dropped_token_adds_nothing_but_stays_in_the_denominator():
    data = annotated(batch([[1]], [[2]]))
    weights = data.importance_weights.clone()
    weights[-1] = 0
    dropped = data.replace(importance_weights=weights, advantages=torch.ones(data.num_tokens))
    out = output(dropped)
    torch.testing.assert_close(PLAIN(out, dropped).total, -out.logprobs[2] / 2)


def test_a_nan_at_a_token_of_weight_zero_cannot_leak():
    data = annotated(batch())
    out = output(data)

    def spoilt(out: PolicyOutput, batch: TokenBatch) -> LossOutput:
        return LossOutput(values=-out.logprobs + torch.where(batch.action_mask, 0, float("nan")))

    total = Objective(loss=spoilt, terms=[])(out, data).total
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(out.logprobs.grad).all()


def test_without_trained_tokens_the_total_is_zero_and_still_attached():
    data = annotated(batch())
    data = data.replace(loss_weights=torch.zeros(data.num_tokens))
    out = output(data)
    total = PLAIN(out, data).total
    total.backward()
    assert total == 0
    assert out.logprobs.grad is not None


def test_without_an_earlier_pass_the_ratio_is_one():
    data = batch()
    fields = annotated(data)
    bare = data.replace(
        **{k: getattr(fields, k) for k in ("advantages", "train_mask", "importance_weights")},
        loss_weights=fields.loss_weights,
    )
    metrics = PLAIN(output(bare), bare).metrics.numbers()
    assert metrics["loss/ratio_mean"] == 1.0


def test_splitting_into_microbatches_leaves_value_and_gradient_unchanged():
    data = annotated(batch([[1, 0, 1], [0, 1, 1]], [[3, 1, 2], [5, 2, 4]]))
    whole = output(data, shift=0.1)
    total = PLAIN(whole, data).total
    total.backward()
    parts, gradients = [], []
    for chosen in ([0, 4], [1, 2], [3, 5]):
        micro = data.select(chosen)
        out = output(micro, logprobs=whole.logprobs.detach()[_tokens_of(data, chosen)])
        part = PLAIN(out, micro).total
        part.backward()
        parts.append(part)
        gradients.append((_tokens_of(data, chosen), out.logprobs.grad))
    torch.testing.assert_close(sum(parts), total)
    for where, gradient in gradients:
        torch.testing.assert_close(gradient, whole.logprobs.grad[where])


def _tokens_of(data: TokenBatch, sequences: list[int]) -> torch.Tensor:
    return torch.cat([(data.seq_ids == s).nonzero().squeeze(1) for s in sequences])


def test_without_an_earlier_pass_the_gradient_is_that_of_the_policys_own_ratio():
    data = annotated(batch())
    bare = TokenBatch(**{**vars(data), "old_logprobs": ABSENT})
    alone = output(data)
    given = output(data, logprobs=alone.logprobs.detach())
    objective = Objective(loss=importance_sampling, terms=[])
    objective(alone, bare).total.backward()
    objective(given, data.replace(old_logprobs=alone.logprobs.detach())).total.backward()
    assert bool(alone.logprobs.grad.any())
    torch.testing.assert_close(alone.logprobs.grad, given.logprobs.grad)


def test_an_earlier_pass_is_what_the_ratio_is_taken_against():
    data = annotated(batch())
    data = data.replace(old_logprobs=data.behavior_logprobs - 0.5)
    metrics = PLAIN(output(data), data).metrics.numbers()
    assert metrics["loss/ratio_mean"] == pytest.approx(math.exp(0.5))


def test_while_only_the_critic_learns_the_policys_part_is_logged_and_is_zero():
    data = annotated(batch())
    resting = Objective(loss=minus_logprobs, terms=[], critic_only=True)
    result, usual = resting(output(data), data), PLAIN(output(data), data)
    assert result.total == 0 and usual.total != 0
    assert result.metrics.numbers() == usual.metrics.numbers()
