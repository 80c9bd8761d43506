"""Identities between functions: each would break if one side were wrong."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from recipes.loading.recipe_tree import PACKAGE, load
from recipes.slots.registry import Registry
from tests.contracts.objectives import part_of
from tests.contracts.ragged import assert_close, batches, policy, quick
from tests.support.builders import batch, output
from trainer.advantages.best_minus_second import best_minus_second
from trainer.advantages.grpo import grpo
from trainer.advantages.pass_at_k import pass_at_k
from trainer.advantages.rloo import rloo
from trainer.algorithm import Objective, WeightedTerm
from trainer.batch import PolicyOutput, TokenBatch
from trainer.losses import loss
from trainer.losses.cispo import cispo
from trainer.losses.dppo import dppo
from trainer.losses.gmpo import gmpo
from trainer.losses.gspo import gspo
from trainer.losses.gspo_token import gspo_token
from trainer.losses.importance_sampling import importance_sampling
from trainer.losses.nft import nft
from trainer.losses.ppo_clip import ppo_clip
from trainer.losses.sapo import sapo
from trainer.metrics import Mean
from trainer.ops.segments import group_count, group_sum, seq_sum, to_tokens
from trainer.reductions.sequence_mean import sequence_mean
from trainer.reductions.token_mean import token_mean
from trainer.terms.kl_k3 import kl_k3


def per_sequence(values: torch.Tensor, of: TokenBatch) -> torch.Tensor:
    """Advantage of each sample that has a token; 0 for the others."""
    counts = seq_sum(of.action_mask.float(), of, of.action_mask)
    return seq_sum(values, of, of.action_mask) / counts.clamp(min=1)


def gradient(values: torch.Tensor, out: PolicyOutput) -> torch.Tensor:
    return torch.autograd.grad(values.sum(), out.logprobs, retain_graph=True)[0]


@quick
@given(of=batches())
def test_leave_one_out_is_the_centred_reward_times_n_over_n_minus_one(of):
    n = group_count(of)[of.seq_ids]
    centred = grpo(of, std_normalize=False)
    assert_close(rloo(of), centred * n / (n - 1).clamp(min=1))


@quick
@given(rewards=st.lists(st.lists(st.floats(-2, 2, width=16), min_size=1, max_size=5), min_size=1))
def test_the_advantages_of_a_group_sum_to_zero(rewards):
    of = batch(rewards, [[1] * len(row) for row in rewards])
    for function in (grpo, rloo):
        sums = group_sum(per_sequence(function(of), of), of)
        assert_close(sums, torch.zeros_like(sums))


@quick
@given(of=batches(), clipped=st.sampled_from([ppo_clip, cispo, dppo, sapo]))
def test_on_the_first_update_no_clip_rule_changes_the_gradient(of, clipped):
    """So such rules can only be told apart with two updates a step."""
    fresh = of.replace(old_logprobs=of.behavior_logprobs)
    out = output(fresh)
    plain = importance_sampling(out, fresh).values
    assert_close(gradient(clipped(out, fresh).values, out), gradient(plain, out))


@quick
@given(of=batches(), clipped=st.sampled_from([gspo, gmpo]))
def test_on_the_first_update_no_clip_of_sequences_changes_the_gradient(of, clipped):
    """One value for a sample, on each of its tokens: their mean has the mean's gradient."""
    fresh = of.replace(old_logprobs=of.behavior_logprobs)
    fresh = fresh.replace(advantages=to_tokens(fresh.rewards - 0.5, fresh))
    out = output(fresh)
    weights = sequence_mean(fresh)
    plain = weights * importance_sampling(out, fresh).values
    assert_close(gradient(weights * clipped(out, fresh).values, out), gradient(plain, out))


@quick
@given(of=batches())
def test_bounds_that_are_never_reached_are_no_bounds(of):
    out = output(of, shift=0.3)
    wide = ppo_clip(out, of, clip_low=1.0, clip_high=1e9).values
    assert_close(wide, importance_sampling(out, of).values)


@quick
@given(seed=st.integers(0, 99))
def test_one_ratio_for_a_sequence_of_one_token_is_the_tokens(seed):
    alone = batch([[1, 0, 1], [0, 1]], [[1, 1, 1], [1, 1]], seed=seed)
    alone = alone.replace(
        advantages=to_tokens(alone.rewards - 0.5, alone), old_logprobs=alone.behavior_logprobs
    )
    alone = alone.replace(train_mask=alone.action_mask)
    out = output(alone, shift=0.3, seed=seed)
    bounds = {"clip_low": 0.1, "clip_high": 0.2}
    expected = ppo_clip(out, alone, **bounds).values
    for function in (gspo, gspo_token):
        assert_close(function(out, alone, **bounds).values, expected)


@quick
@given(of=batches())
def test_on_policy_maximum_likelihood_with_negatives_is_dr_grpo(of):
    """Where problems are neither all right nor all wrong, and of a rate that is not held."""
    fresh = of.replace(old_logprobs=of.behavior_logprobs, rewards=of.correct.float())
    out = policy(fresh)
    advantages = grpo(fresh, std_normalize=False)
    expected = importance_sampling(out, fresh.replace(advantages=advantages)).values
    assert_close(gradient(nft(out, fresh).values, out), gradient(expected, out))


@quick
@given(of=batches())
def test_k3_is_never_negative(of):
    assert bool((kl_k3(policy(of, shift=1.0), of).values >= -1e-6).all())


@quick
@given(of=batches())
def test_token_mean_and_sequence_mean_sum_to_one(of):
    expected = float(of.train_mask.any())
    assert_close(token_mean(of).sum(), torch.tensor(expected))
    assert_close(sequence_mean(of).sum(), torch.tensor(expected))


def losses() -> list[str]:
    registry: Registry = loss
    return [entry.name for entry in registry if entry.minibatch_stats is None]


@quick
@given(of=batches(), parts=st.integers(1, 4), name=st.sampled_from(losses()))
def test_the_split_into_microbatches_leaves_the_gradient_unchanged(of, parts, name):
    objective = Objective(
        loss=loss.get(name).function,
        terms=[WeightedTerm(name="kl_k3", coef=0.1, function=kl_k3, index=0)],
    )
    weights = sequence_mean(of)
    of = of.replace(loss_weights=weights, term_weights=weights[:, None])
    out = policy(of, shift=0.3)
    whole = objective(out, of)
    expected = torch.autograd.grad(whole.total, out.logprobs)[0]
    total, pieces, metrics = 0.0, torch.zeros_like(expected), None
    for part in torch.arange(of.num_sequences).tensor_split(parts):
        if not len(part):
            continue
        tokens = torch.isin(of.seq_ids, part)
        piece = part_of(out, of, part)
        result = objective(piece, of.select(part))
        total += float(result.total.detach())
        pieces[tokens] = torch.autograd.grad(result.total, piece.logprobs)[0]
        metrics = result.metrics if metrics is None else metrics + result.metrics
    assert_close(pieces, expected)
    assert_close(torch.tensor(total), whole.total.detach())
    for metric, value in whole.metrics.items():
        if isinstance(value, Mean) and value.count:
            assert abs(metrics[metric].value - value.value) < 1e-4, metric


def test_names_that_the_literature_uses_twice_are_taken_for_one_thing_each():
    papers = {name: load(PACKAGE / "algorithms" / f"{name}.yaml") for name in NAMESAKES}
    assert {name: found.papers[0].rpartition("/")[2] for name, found in papers.items()} == NAMESAKES
    assert papers["bnpo"].tree["advantage"]["name"] == "beta_norm"  # elsewhere a mean over tokens
    two_right = batch([[1, 1, 0, 0]])
    assert pass_at_k(two_right, k=2).any()
    assert not best_minus_second(two_right).any()  # elsewhere it is called pass@k


NAMESAKES = {
    "bapo": "2510.18927",
    "bnpo": "2506.02864",
    "grpo_lambda": "2505.18086",
    "pass_at_k": "2508.10751",
}
