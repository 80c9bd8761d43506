"""A verifier that misses right answers is double-checked; its error rate corrects the reward."""

import json
from pathlib import Path

import pytest

from tests.support.runs import launch, numbers, smoke, tiny_base

# The first verifier knows two of the five digits that the second accepts.
VERIFIER = {
    "name": "double_checked",
    "first": {"name": "format", "pattern": "[0-1]"},
    "second": {"name": "format", "pattern": "[0-4]"},
    "negatives": 0.5,
    "positives": 0.5,
    "repair": False,
}
RATE = {"name": "verifier_error_rate", "of": "false_negative", "decay": 0.5}
SHAPING = [{"name": "debias_reward", "false_positive": 0.0, "false_negative": RATE}]


def settings(base: Path, output: Path, steps: int) -> list[str]:
    sections = {"verifier": VERIFIER, "shaping": SHAPING, "advantage": {"name": "reinforce"}}
    texts = {name: json.dumps(section) for name, section in sections.items()}
    return smoke(base, output, steps=steps, checkpoint__every=2, **texts)


@pytest.mark.slow
def test_the_error_rate_is_estimated_and_survives_a_resume(tmp_path):
    base = tiny_base(tmp_path / "base")
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    for run, steps, resume in ((whole, 4, False), (parted, 2, False), (parted, 4, True)):
        done = launch(settings(base, run, steps), resume=resume)
        assert done.returncode == 0, done.stderr
    lines = dict(numbers(whole))
    estimate = lines[4]["verifier/false_negative"]
    low, high = (lines[4][f"verifier/false_negative_{end}"] for end in ("low", "high"))
    assert 0 < low < estimate < high < 1
    assert lines[4]["verifier/false_positive"] == 0  # what the first accepts, the second does too
    assert lines[4]["verifier/double_checks"] > 0
    used = [lines[step]["control/shaping.0.false_negative"] for step in (1, 2, 3, 4)]
    first = lines[1]["verifier/false_negative"]
    assert used[0] == 0
    assert used[1] == pytest.approx(min(first / 2, 0.45))
    assert numbers(parted) == numbers(whole)
