"""Our slots against TRL 1.16, which is imported and run, not re-written.

`GRPOTrainer._generate_and_score_completions` gives its advantages and its engine-to-trainer
weights, `GRPOTrainer._compute_loss` its loss, whose gradient by every parameter is compared with
ours; GMPO's is that of `trl.experimental.gmpo.GMPOTrainer`, the leave-one-out advantages are
`RLOOTrainer`'s. See `trl_reference.py` for how they are fed. The policy is perturbed between
scoring and loss, so ratios lie on both sides of the clip range.
"""

from pathlib import Path

import pytest
import torch

from tests.parity.trl_reference import (
    LONGEST,
    REWARDS,
    assert_same_update,
    padded,
    per_sample,
    reference,
    slots,
    staged,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # TRL's imports warn

UNCORRECTED = {"vllm_importance_sampling_correction": False}


@pytest.mark.parametrize(
    ("loss_type", "reduction"),
    [
        ("grpo", "sequence_mean"),
        ("bnpo", "token_mean"),
        ("dapo", "token_mean"),
        ("dr_grpo", {"name": "seq_mean_token_sum_norm", "length": LONGEST}),
    ],
)
def test_each_loss_type_is_a_reduction(tmp_path: Path, loss_type, reduction):
    theirs = reference(tmp_path, loss_type=loss_type, num_iterations=2, **UNCORRECTED)
    assert_same_update(slots(reduction=reduction), theirs)


def test_some_ratios_are_clipped_on_either_side(tmp_path: Path):
    """Otherwise the comparisons of this file would not see the clip."""
    theirs = reference(tmp_path, num_iterations=2, **UNCORRECTED)
    batch, out = theirs.batch, theirs.forward()
    ratio = (out.logprobs - batch.old_logprobs)[batch.action_mask].exp()
    assert bool((ratio > 1.3).any())
    assert bool((ratio < 0.7).any())


def test_two_bounds(tmp_path: Path):
    theirs = reference(tmp_path, num_iterations=2, epsilon=0.1, epsilon_high=0.3, **UNCORRECTED)
    ours = slots(
        loss={"name": "ppo_clip", "clip_low": 0.1, "clip_high": 0.3}, reduction="token_mean"
    )
    assert_same_update(ours, theirs)


def test_gspo_is_the_sequence_level_of_importance_sampling(tmp_path: Path):
    settings = {"importance_sampling_level": "sequence", "loss_type": "grpo", "epsilon": 0.02}
    theirs = reference(tmp_path, num_iterations=2, **settings, **UNCORRECTED)
    bounds = {"clip_low": 0.02, "clip_high": 0.02}
    for name in ("gspo", "gspo_token"):
        assert_same_update(slots(loss={"name": name, **bounds}), theirs)


def test_gmpo(tmp_path: Path):
    settings = {"epsilon": 0.2, "epsilon_high": 0.3}
    theirs = reference(tmp_path, "gmpo", num_iterations=2, **settings, **UNCORRECTED)
    assert_same_update(slots(loss={"name": "gmpo", "clip_low": 0.2, "clip_high": 0.3}), theirs)


def test_cispo_caps_at_the_value_itself(tmp_path: Path):
    settings = {"loss_type": "cispo", "epsilon_high": 1.25}
    theirs = reference(tmp_path, num_iterations=2, **settings, **UNCORRECTED)
    ours = slots(loss={"name": "cispo", "ratio_high": 1.25}, reduction="token_mean")
    assert_same_update(ours, theirs)


def test_sapo(tmp_path: Path):
    settings = {"loss_type": "sapo", "sapo_temperature_pos": 1.5, "sapo_temperature_neg": 2.0}
    theirs = reference(tmp_path, num_iterations=2, **settings, **UNCORRECTED)
    ours = slots(loss={"name": "sapo", "tau_positive": 1.5, "tau_negative": 2.0})
    assert_same_update(ours, theirs)


def test_delta_is_the_dual_clip(tmp_path: Path):
    theirs = reference(tmp_path, num_iterations=2, delta=1.25, **UNCORRECTED)
    ours = slots(loss={"name": "ppo_clip", "dual_clip": 1.25}, reduction="token_mean")
    assert_same_update(ours, theirs)


@pytest.mark.parametrize("weighted", [False, True])
def test_beta_is_the_coefficient_of_k3(tmp_path: Path, weighted):
    settings = {"beta": 0.5, "use_bias_correction_kl": weighted, "loss_type": "grpo"}
    theirs = reference(tmp_path, num_iterations=2, **settings, **UNCORRECTED)
    term = {"name": "kl_k3", "coef": 0.5, "ratio_weighted": weighted}
    assert_same_update(slots(terms=[term]), theirs)


@pytest.mark.parametrize(("scale_rewards", "std_normalize"), [("group", True), ("none", False)])
def test_group_advantages(tmp_path: Path, scale_rewards, std_normalize):
    theirs = reference(tmp_path, scale_rewards=scale_rewards, **UNCORRECTED)
    ours = slots(advantage={"name": "grpo", "std_normalize": std_normalize, "eps": 1e-4})
    advantages = per_sample(theirs, ours.advantage(theirs.batch).advantages)
    torch.testing.assert_close(advantages, theirs.scored["advantages"])


def test_several_rewards_normalised_one_by_one(tmp_path: Path):
    rewards = [REWARDS, [0.5, 0.5, 2.0, 1.0, 0.0, 3.0, 3.0, 1.0]]
    settings = {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [1.0, 0.25]}
    theirs = reference(tmp_path, rewards=rewards, **settings, **UNCORRECTED)
    entry = {"name": "multi_reward", "weights": {"r0": 1.0, "r1": 0.25}, "eps": 1e-4}
    advantages = per_sample(theirs, slots(advantage=entry).advantage(theirs.batch).advantages)
    torch.testing.assert_close(advantages, theirs.scored["advantages"])


def test_leave_one_out_advantages(tmp_path: Path):
    theirs = reference(tmp_path, "rloo", beta=0.0)
    advantages = per_sample(theirs, slots(advantage="rloo").advantage(theirs.batch).advantages)
    torch.testing.assert_close(advantages, theirs.scored["advantages"])


@pytest.mark.parametrize(
    ("mode", "limits", "ours"),
    [
        ("token_truncate", {"clip_max": 1.2}, {"name": "truncated_is", "cap": 1.2}),
        (
            "token_mask",
            {"clip_min": 0.8, "clip_max": 1.2},
            {"name": "masked_is", "low": 0.8, "high": 1.2},
        ),
        ("sequence_mask", {"clip_max": 1.2}, {"name": "sequence_is", "cap": 1.2}),
        (
            "sequence_truncate",
            {"clip_max": 1.2},
            {"name": "sequence_is", "cap": 1.2, "above": "truncate"},
        ),
    ],
)
def test_engine_to_trainer_weights(tmp_path: Path, mode, limits, ours):
    limits = {f"vllm_importance_sampling_{name}": value for name, value in limits.items()}
    theirs = reference(tmp_path, vllm_importance_sampling_mode=mode, **limits)
    algo = slots(correction=ours, reduction="token_mean")
    weights = padded(theirs, staged(algo, theirs.batch).importance_weights)
    mask = theirs.scored["completion_mask"]
    torch.testing.assert_close(
        weights, theirs.scored["importance_sampling_ratio"] * mask, rtol=1e-4, atol=1e-5
    )
    assert_same_update(algo, theirs)


def test_the_entropy_bonus(tmp_path: Path):
    theirs = reference(tmp_path, num_iterations=2, entropy_coef=0.3, **UNCORRECTED)
    terms = [{"name": "entropy_bonus", "coef": 0.3}]
    assert_same_update(slots(terms=terms, reduction="token_mean"), theirs)


@pytest.mark.parametrize("frac", [0.1, 0.35, 0.8])
def test_the_most_undecided_tokens(tmp_path: Path, frac):
    theirs = reference(tmp_path, **UNCORRECTED)
    batch = theirs.batch.replace(entropy=theirs.forward().entropy.detach())
    mask = theirs.scored["completion_mask"]
    wanted = theirs.trainer.get_high_entropy_mask(padded(theirs, batch.entropy), mask, 1 - frac)
    ours = slots(masks=[{"name": "top_entropy", "frac": frac}]).mask(batch).train_mask
    assert torch.equal(padded(theirs, ours.float()).bool(), wanted)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 1.0])
def test_bad_samples_of_an_older_policy(tmp_path: Path, threshold):
    theirs = reference(tmp_path, **UNCORRECTED)
    name = "off_policy_sequence_mask"
    batch = staged(slots(correction={"name": name, "threshold": threshold}), theirs.batch)
    wanted = theirs.trainer.get_off_policy_mask(
        advantages=theirs.scored["advantages"][:, None],
        per_token_logps=padded(theirs, batch.old_logprobs),
        sampling_per_token_logps=padded(theirs, batch.behavior_logprobs),
        mask=theirs.scored["completion_mask"],
        off_policy_threshold=threshold,
    )
    torch.testing.assert_close(
        per_sample(theirs, batch.importance_weights)[:, None], wanted.float()
    )
