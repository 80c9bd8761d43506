"""A run whose reward rises while a held-out verifier falls stops itself and says so."""

import json

import pytest

from tests.support.runs import launch, numbers, smoke, tiny_base

REWARDS = """
def rising(completions, trainer_state, **kwargs):
    return [(trainer_state.global_step + 1) / trainer_state.max_steps + (len(c) % 2) / 10
            for c in completions]

def falling(completions, trainer_state, **kwargs):
    return [1 - trainer_state.global_step / trainer_state.max_steps for c in completions]
"""


@pytest.mark.slow
def test_a_gamed_reward_stops_the_run(tmp_path):
    base = tiny_base(tmp_path / "base")
    rewards, run = tmp_path / "rewards.py", tmp_path / "run"
    rewards.write_text(REWARDS)
    watch = {
        "verifiers": {"strict": {"name": "plugin", "function": f"{rewards}:falling"}},
        "sample_frac": 1.0,
        "window": 4,
        "patience": 2,
        "bounds": [{"metric": "watch/strict", "max_fall": 0.1}],
    }
    verifier = {"name": "plugin", "function": f"{rewards}:rising"}
    sections = {"verifier": json.dumps(verifier), "watch": json.dumps(watch)}
    done = launch(smoke(base, run, steps=10, **sections))
    assert done.returncode == 3, done.stderr
    assert "stopped: possible reward hacking: rollout/reward rose from" in done.stderr
    lines = dict(numbers(run))
    assert [lines[step]["watch/alarms"] for step in sorted(lines)] == [0, 0, 0, 1, 1]
    # steps 0 and 1 against 2 and 3, of 10: a fall of 0.2
    assert lines[4]["watch/strict"] == pytest.approx(0.7)
