import asyncio
import json
from pathlib import Path

import pytest

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import load
from tests.support.builders import problem
from trainer.recipe.config import read
from trainer.run.reward_monitor import build_reward_monitor, refuse_another_verifier

DOUBLE_CHECKED = """
verifier:
  name: double_checked
  first: {name: format, pattern: "^2$"}
  second: {name: format, pattern: "2"}
  negatives: 1.0
"""
WATCHED = """
watch:
  verifiers: {strict: {name: format, pattern: "^2$"}}
  sample_frac: 1.0
  window: 2
  patience: 1
  min_rise: 0.1
  bounds: [{metric: watch/strict, max_fall: 0.1}]
"""


def recipe(folder: Path, settings: str = ""):
    file = folder / "run.yaml"
    file.write_text(f"extends: [smoke/grpo.yaml]\n{settings}")
    return read(load(file))


def ask(reward_monitor, *responses):
    async def every():
        return [await reward_monitor.scorer.verify(problem(), response) for response in responses]

    return asyncio.run(every())


def test_every_verdict_carries_the_hash_of_its_verifier(tmp_path):
    reward_monitor = build_reward_monitor(recipe(tmp_path))
    [verdict] = ask(reward_monitor, "1")
    assert verdict.verifier == reward_monitor.provenance.digest


def test_a_double_checked_verifier_is_watched_for_its_errors(tmp_path):
    reward_monitor = build_reward_monitor(recipe(tmp_path, DOUBLE_CHECKED))
    ask(reward_monitor, "2", "it is 2", "3")
    found = reward_monitor.scorer.metrics()
    assert found["verifier/double_checks"] == 2
    assert found["verifier/false_negative"] == 0  # the one that there was is repaired
    assert "verifier/double_checks" not in _metrics_of(recipe(tmp_path))


def _metrics_of(plain):
    reward_monitor = build_reward_monitor(plain)
    ask(reward_monitor, "2")
    return reward_monitor.scorer.metrics()


def test_a_watch_alarms_and_stops(tmp_path, capsys):
    reward_monitor = build_reward_monitor(recipe(tmp_path, WATCHED))
    assert reward_monitor.verdict == ""
    for reward, responses in ((0.2, ["2", "2"]), (0.9, ["12", "2 or 3"])):
        ask(reward_monitor, *responses)
        added = reward_monitor.observe(
            {"rollout/reward": reward, **reward_monitor.scorer.metrics()}
        )
    assert added == {"watch/alarms": 1.0}
    assert (
        "watch: rollout/reward rose from 0.2 to 0.9 while watch/strict" in capsys.readouterr().err
    )
    assert "possible reward hacking" in reward_monitor.verdict


def test_a_run_without_a_watch_logs_no_alarms(tmp_path):
    assert build_reward_monitor(recipe(tmp_path)).observe({"rollout/reward": 1.0}) == {}


def test_its_memory_survives_a_checkpoint(tmp_path):
    both = recipe(tmp_path, DOUBLE_CHECKED + WATCHED)
    before, after = build_reward_monitor(both), build_reward_monitor(both)
    ask(before, "2", "3")
    before.observe({"rollout/reward": 0.1, **before.scorer.metrics()})
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert after.state_dict() == before.state_dict()
    assert after.state_dict()["watch"]["history"] == [{"rollout/reward": 0.1, "watch/strict": 0.5}]


def test_another_verifier_is_refused_on_a_resume_unless_allowed(tmp_path):
    saved = build_reward_monitor(recipe(tmp_path)).state_dict()
    assert refuse_another_verifier(recipe(tmp_path), saved) == ""
    other = 'verifier: {name: format, pattern: "[5-9]"}\n'
    with pytest.raises(RecipeError, match=r"verifier: .*pattern \('\[0-4\]' before, '\[5-9\]' now"):
        refuse_another_verifier(recipe(tmp_path, other), saved)
    allowed = recipe(tmp_path, other + "limits: {allow_change: [verifier]}\n")
    assert "pattern" in refuse_another_verifier(allowed, saved)


def test_an_older_record_of_the_code_is_accepted_and_that_is_said(tmp_path):
    saved = build_reward_monitor(recipe(tmp_path)).state_dict()
    saved["provenance"]["code"] = {"rewards/math/judge.py": "1f0c00000000"}
    told = refuse_another_verifier(recipe(tmp_path), saved)
    assert "older version" in told and "temper's own code is not" in told


def test_why_a_verdict_is_missing_is_in_the_folder_of_the_run(tmp_path, capsys):
    settings = f'output: {tmp_path}/run\nverifier: {{name: format, pattern: "(a|a)*b"}}\n'
    reward_monitor = build_reward_monitor(recipe(tmp_path, settings))
    ask(reward_monitor, "a" * 40)  # backtracks beyond the deadline
    assert "no result within 2 s" in capsys.readouterr().err
    assert "no result within 2 s" in (tmp_path / "run" / "missing_verdicts.jsonl").read_text()
