"""A random model of twenty thousand parameters learns what is rewarded, on the CPU, in seconds."""

import pytest

from tests.support.runs import launch, numbers, smoke, tiny_base


@pytest.mark.slow
def test_the_reward_rises_from_a_random_model(tmp_path):
    sets = smoke(
        tiny_base(tmp_path / "base"),
        tmp_path / "run",
        steps=30,
        groups_per_step=8,
        group_size=8,
        optimizer__lr=3e-3,
        checkpoint__every=0,
    )
    done = launch(sets)
    assert done.returncode == 0, done.stderr
    rewards = [metrics["reward/mean"] for step, metrics in numbers(tmp_path / "run") if step > 0]
    assert sum(rewards[:3]) / 3 < 0.6, "the start leaves nothing to learn"
    assert sum(rewards[-3:]) / 3 > 0.9


@pytest.mark.slow
def test_stale_samples_are_corrected_and_still_learned_from(tmp_path):
    sets = smoke(
        tiny_base(tmp_path / "base"),
        tmp_path / "run",
        steps=30,
        groups_per_step=8,
        group_size=8,
        optimizer__lr=3e-3,
        max_staleness=1,
        checkpoint__every=0,
    )
    done = launch([*sets, "correction={name: truncated_is, cap: 2.0}"])
    assert done.returncode == 0, done.stderr
    steps = [metrics for step, metrics in numbers(tmp_path / "run") if step > 0]
    assert max(metrics["sync/staleness_max"] for metrics in steps) == 1
    assert steps[-1]["reward/mean"] > steps[0]["reward/mean"] + 0.2
