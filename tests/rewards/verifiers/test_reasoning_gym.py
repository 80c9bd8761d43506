"""reasoning_gym: the task's own scorer."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from recipes.slots.registry import function_of
from rewards.types import Problem, Verdict
from rewards.verifiers import verifier
from tests.support.runs import ROOT

SUM = {"question": "2 + 2 =", "answer": "4", "metadata": {"source_dataset": "chain_sum"}}
GRID = {
    "question": "...",
    "answer": "1 0\n0 1",
    "metadata": {"input": [[0, 1], [1, 0]], "output": [[1, 0], [0, 1]]},
}


def judge(response: str, columns: dict[str, Any], **options: object) -> Verdict:
    problem = Problem(id="p", messages=(), answer="", columns=columns)
    score = function_of(verifier.bind({"name": "reasoning_gym", **options}))
    return asyncio.run(score(problem, response))


def sums(response: str, **options: object) -> Verdict:
    return judge(response, {"reasoning_gym_task": "chain_sum", "entry": SUM}, **options)


def test_without_its_columns_there_is_no_verdict() -> None:
    assert judge("4", {}).is_missing


def test_no_answer_scores_nothing_without_asking_the_task() -> None:
    verdict = sums("<answer> </answer>")
    assert verdict == Verdict.binary(False, reason="tag_or_whole: no answer found")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "options", "reward"),
    [
        ("4", {}, 1.0),
        ("<think>2 and 2</think> 4", {}, 1.0),
        ("It is <answer>4</answer>, I think.", {}, 1.0),
        ("<answer>5</answer>", {}, 0.0),
        ("4", {"where": "tag"}, 0.0),
        (r"so \boxed{4}", {"where": "boxed"}, 1.0),
        ("The answer is 4.", {"where": "anywhere"}, 1.0),
    ],
)
def test_the_task_scores_the_extracted_answer(
    response: str, options: dict[str, str], reward: float
) -> None:
    verdict = sums(response, **options)
    assert verdict.reward == reward
    assert verdict.correct is (reward == 1.0)


@pytest.mark.slow
def test_a_threshold_makes_a_partial_score_correct() -> None:
    entry = {"reasoning_gym_task": "chain_sum", "entry": SUM}
    partial = judge("The sum is 4 here", entry)
    assert 0 < partial.reward < 1
    assert not partial.correct
    assert judge("The sum is 4 here", entry, threshold=partial.reward).correct


@pytest.mark.slow
def test_a_task_that_does_not_exist_gives_no_verdict() -> None:
    verdict = judge("4", {"reasoning_gym_task": "no_such_task", "entry": SUM})
    assert verdict.is_missing
    assert "no_such_task" in verdict.reason


@pytest.mark.slow
def test_grids_that_went_through_json_still_match_themselves() -> None:
    columns = {"reasoning_gym_task": "arc_agi", "entry": GRID}
    assert judge("<answer>1 0\n0 1</answer>", columns).correct
    assert not judge("<answer>1 1\n0 1</answer>", columns).correct


@pytest.mark.slow
def test_the_import_of_the_tasks_is_not_under_the_deadline(tmp_path):
    package = tmp_path / "reasoning_gym"
    package.mkdir()
    (package / "__init__.py").write_text("import time\ntime.sleep(4)\n")
    (package / "factory.py").write_text("def get_score_answer_fn(task): return lambda a, e: 1.0\n")
    script = """
import asyncio
import os
import subprocess
import sys
from rewards.types import Problem
from rewards.verifiers.reasoning_gym import reasoning_gym

columns = {"reasoning_gym_task": "slow", "entry": {}}
problem = Problem(id="a", messages=(), answer="", columns=columns)
verdict = asyncio.run(reasoning_gym(problem, "yes", deadline_s=3.0))
print(verdict.reward, verdict.reason)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1.0 slow scored 1\n"
