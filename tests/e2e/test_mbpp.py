"""The code recipe, two steps on the CPU: tiny random model, small tasks, a real sandbox."""

import asyncio
import json
from pathlib import Path

import pytest

from rewards.types import Message, Problem
from rewards.verifiers.code_tests import code_tests
from tests.support.runs import ROOT, launch, numbers, smoke
from trainer.models.tiny import make_tiny
from trainer.recipe.kinds import TinySpec

RECIPE = "code/mbpp_qwen2.5_0.5b"
ROWS = ROOT / "tests" / "data" / "mbpp_rows.jsonl"


@pytest.mark.slow
def test_two_steps_run_and_every_program_gets_a_verdict(tmp_path: Path) -> None:
    shape = TinySpec(hidden=64, layers=2, heads=2, kv_heads=1, intermediate=64, context_length=1024)
    make_tiny(shape, tmp_path / "base", seed=0)
    sizes: dict[str, object] = {
        "model__dtype": "float32",
        "model__context_length": 1024,
        "model__lora__rank": 4,
        "problems__source__path": ROWS,
        "problems__source__subset": '""',
        "problems__gold_sample": 6,  # the reference solutions pass in the sandbox, or no run starts
        "filters": "[]",
        "sampling__max_tokens": 16,
        "engine": "hf",
        "group_size": 2,
        "groups_per_step": 2,
        "minibatches": 2,
        "steps": 2,
        "optimizer__lr": 1e-3,
        "evaluate": "[]",
        "loggers": "[jsonl]",
    }
    done = launch(smoke(tmp_path / "base", tmp_path / "run", **sizes), recipe=RECIPE)
    assert done.returncode == 0, done.stderr
    steps = [metrics for step, metrics in numbers(tmp_path / "run") if step > 0]
    assert len(steps) == 2
    for metrics in steps:
        counts = {name: n for name, n in metrics.items() if name.startswith("ledger/")}
        issued = counts.pop("ledger/issued")
        assert issued == sum(counts.values()) == 4
        assert counts["ledger/verifier_error"] == 0


@pytest.mark.slow
def test_the_tasks_tell_right_from_wrong() -> None:
    for line in ROWS.read_text().splitlines():
        row = json.loads(line)
        message = Message(role="user", content=row["text"])
        columns = {"test_list": row["test_list"]}
        problem = Problem(id="p", messages=(message,), answer="", columns=columns)
        right = asyncio.run(code_tests(problem, f"```python\n{row['code']}\n```"))
        assert right.correct, right.reason
        wrong = asyncio.run(code_tests(problem, row["code"].replace("return", "return None #")))
        assert not wrong.correct and not wrong.is_missing, wrong.reason
