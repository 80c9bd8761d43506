"""Whole runs with a critic: PPO, value pretraining, a frozen value model, a teacher."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.runs import launch, numbers, smoke, tiny_base
from trainer.commands.export import export_checkpoint
from trainer.commands.replay import replay
from trainer.loggers.jsonl import read_metrics

pytestmark = pytest.mark.slow

PPO = {
    "critic": "{optimizer: {lr: 1e-2}}",
    "advantage": "{name: gae, lam: 0.95}",
    "loss": "{name: ppo_clip}",
    "terms": "[{name: value_loss, coef: 1.0, mask: action, clip: 0.0, lam: 1.0}]",
    "minibatches": 2,
}


def policy_files(run, step):
    return run / "checkpoints" / f"step_{step:06d}" / "policy"


def test_ppo_learns_values_and_resumes_to_the_bit(tmp_path):
    base = tiny_base(tmp_path / "base")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = launch(smoke(base, whole, steps=6, **PPO))
    assert done.returncode == 0, done.stderr
    metrics = [found for _, found in numbers(whole)]
    assert metrics[0]["critic/value_mean"] == 0  # a fresh head
    assert metrics[-1]["critic/value_mean"] > 0.1  # rewards are 0 or 1
    assert all(found["critic/grad_norm"] > 0 for found in metrics)

    assert launch(smoke(base, parts, steps=3, **PPO)).returncode == 0
    other = {**PPO, "critic": "{optimizer: {lr: 5e-3}, pretrain_steps: 1}"}
    refused = launch(smoke(base, parts, steps=6, **other), resume=True)
    assert refused.returncode == 1
    for changed in ("optimizer.lr: was 0.01 when the run started, and is now 0.005",
                    "pretrain_steps: was 0 when the run started, and is now 1"):  # fmt: skip
        assert f"critic.{changed}" in refused.stderr
    again = launch(smoke(base, parts, steps=6, **PPO), resume=True)
    assert again.returncode == 0, again.stderr
    assert numbers(parts) == numbers(whole)
    for name in ("replica.pt", "critic/replica.pt"):
        ours, theirs = (
            torch.load(policy_files(run, 6) / name, weights_only=True) for run in (whole, parts)
        )
        assert ours["weights"].keys() == theirs["weights"].keys()
        for key, tensor in ours["weights"].items():
            assert torch.equal(tensor, theirs["weights"][key]), key


@pytest.mark.parametrize("sharding", ["{zero: 2}", "{zero: 3}"])
def test_ppo_on_two_processes_is_ppo_on_one(tmp_path, sharding):
    base = tiny_base(tmp_path / "base")
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert launch(smoke(base, alone, steps=2, **PPO)).returncode == 0
    settings = smoke(base, together, steps=2, sharding=sharding, **PPO)
    done = launch(settings, processes=2)
    assert done.returncode == 0, done.stderr
    for (_, one), (_, two) in zip(numbers(alone), numbers(together), strict=True):
        for name in ("critic/grad_norm", "optim/grad_norm", "critic/loss", "term/value_error"):
            assert two[name] == pytest.approx(one[name], rel=1e-3), name


def test_a_value_model_is_trained_exported_and_followed_frozen(tmp_path):
    """DVPO's two stages: the policy rests in the first, the critic in the second."""
    base, first, second = tmp_path / "base", tmp_path / "first", tmp_path / "second"
    tiny_base(base)
    alone = {**PPO, "critic": "{optimizer: {lr: 1e-2}, pretrain_steps: 4}"}
    done = launch(smoke(base, first, steps=4, **alone))
    assert done.returncode == 0, done.stderr
    export_checkpoint(first, tmp_path / "policy", merge=False)
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "policy" / "model.safetensors")
    for name in after:
        assert torch.equal(after[name], before[name]), name
    export_checkpoint(first, tmp_path / "values", merge=False, critic=True)
    config = json.loads((tmp_path / "values" / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForTokenClassification"]

    settings = smoke(base, second, steps=2, critic=f"{{path: {tmp_path / 'values'}}}",
                     advantage="dvpo", terms="[{name: kl_k2, coef: 0.1}]")  # fmt: skip
    done = launch(settings)
    assert done.returncode == 0, done.stderr
    for _, metrics in numbers(second):
        assert metrics["critic/value_mean"] > 0.01
        assert "critic/grad_norm" not in metrics
    assert not (policy_files(second, 2) / "critic").exists()
    (tmp_path / "values").rename(tmp_path / "elsewhere")
    export_checkpoint(second, tmp_path / "followed", merge=False)
    assert (tmp_path / "followed" / "model.safetensors").exists()


def test_controllers_of_the_policy_wait_while_it_rests(tmp_path):
    base, run = tiny_base(tmp_path / "base"), tmp_path / "run"
    entropy = "{name: target_entropy, target: 99.0, start: 0.0}"
    terms = f"{PPO['terms'][:-1]}, {{name: entropy_bonus, coef: {entropy}}}]"
    alone = "{optimizer: {lr: 1e-2}, pretrain_steps: 2}"
    done = launch(smoke(base, run, steps=4, **{**PPO, "critic": alone, "terms": terms}))
    assert done.returncode == 0, done.stderr
    moved = [metrics["control/terms.1.coef"] for _, metrics in numbers(run)]
    assert moved == pytest.approx([0.0, 0.0, 0.0, 0.005])


def test_a_step_of_ppo_is_replayed(tmp_path):
    base, run = tiny_base(tmp_path / "base"), tmp_path / "run"
    assert launch(smoke(base, run, steps=2, record__every=1, **PPO)).returncode == 0
    for step in replay(run, []):
        assert all(update.cosine == pytest.approx(1, abs=1e-12) for update in step.updates)


def test_a_variant_does_not_move_the_critic_of_the_run_it_is_compared_with(tmp_path):
    """On a shared backbone it would bend the policy's own later gradients."""
    base, run = tiny_base(tmp_path / "base"), tmp_path / "run"
    shared = {**PPO, "critic": "{backbone: shared, optimizer: {lr: 1e-2}}"}
    assert launch(smoke(base, run, steps=2, record__every=1, **shared)).returncode == 0
    (ours,), (theirs,) = replay(run, [], [1]), replay(run, ["terms.0.coef=100.0"], [1])
    assert [u.recorded for u in theirs.updates] == [u.recorded for u in ours.updates]
    assert theirs.recorded.metrics == ours.recorded.metrics
    assert theirs.updates[0].variant != theirs.updates[0].recorded


def sharpen(folder):
    """A random model says nearly the same of every token; this one has opinions."""
    weights = load_file(folder / "model.safetensors")
    louder = {name: 8 * w if "embed" in name else w for name, w in weights.items()}
    save_file(louder, folder / "model.safetensors", {"format": "pt"})


def test_a_policy_comes_closer_to_its_teacher(tmp_path):
    base, teacher = tiny_base(tmp_path / "base"), tiny_base(tmp_path / "teacher", seed=1)
    sharpen(teacher)
    settings = smoke(base, tmp_path / "run", steps=30, teacher=f"{{path: {teacher}}}",
                     advantage="reinforce", verifier="{name: format, pattern: never}",
                     terms="[{name: teacher_kl, coef: 1.0}]", optimizer__lr=0.01,
                     groups_per_step=16, checkpoint__every=0)  # fmt: skip
    done = launch(settings)
    assert done.returncode == 0, done.stderr
    gaps = [
        metrics["term/teacher_gap"]
        for _, metrics in read_metrics(tmp_path / "run" / "metrics.jsonl")
    ]
    assert gaps[0] > 0.5
    assert sum(gaps[-3:]) < 0.7 * sum(gaps[:3])
