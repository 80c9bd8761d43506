"""The one-GPU recipe, two steps on the CPU: tiny random model, real GSM8K rows, real engines."""

from pathlib import Path

import pytest

from tests.support.runs import ROOT, launch, numbers, smoke
from trainer.models.tiny import make_tiny
from trainer.recipe.kinds import TinySpec

RECIPE = "math/gsm8k_qwen2.5_0.5b"
ROWS = ROOT / "tests" / "data" / "gsm8k_rows.jsonl"


def settings(base: Path, output: Path, **more: object) -> list[str]:
    """What a laptop changes of the recipe: the model, the rows, and sizes."""
    sizes: dict[str, object] = {
        "model__dtype": "float32",
        "model__context_length": 1024,
        "model__lora__rank": 4,
        "problems__source__path": ROWS,
        "problems__source__subset": '""',
        "filters": "[]",
        "sampling__max_tokens": 24,
        "group_size": 2,
        "groups_per_step": 2,
        "minibatches": 2,
        "steps": 2,
        "optimizer__lr": 1e-3,
        "evaluate": "[]",
        "loggers": "[jsonl]",
    }
    return smoke(base, output, **{**sizes, **more})


def base(folder: Path) -> Path:
    shape = TinySpec(hidden=64, layers=2, heads=2, kv_heads=1, intermediate=64, context_length=1024)
    make_tiny(shape, folder, seed=0)
    return folder


def assert_ledger_adds_up(folder: Path) -> None:
    steps = [metrics for step, metrics in numbers(folder) if step > 0]
    assert len(steps) == 2
    for metrics in steps:
        counts = {name: n for name, n in metrics.items() if name.startswith("ledger/")}
        issued = counts.pop("ledger/issued")
        assert issued == sum(counts.values()) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "zero", "processes"),
    [("hf", 0, 1), ("vllm", 0, 1), ("hf", 2, 2), ("hf", 3, 2)],
    ids=["hf", "vllm", "hf on two ranks, ZeRO-2", "hf on two ranks, ZeRO-3"],
)
def test_two_steps_run_and_the_ledger_adds_up(tmp_path, engine, zero, processes):
    more = {"engine": engine, "sharding__zero": zero}
    run = tmp_path / "run"
    done = launch(
        settings(base(tmp_path / "base"), run, **more), recipe=RECIPE, processes=processes
    )
    assert done.returncode == 0, done.stderr
    assert_ledger_adds_up(run)


@pytest.mark.slow
def test_an_adapter_that_learns_reaches_vllm_at_every_version(tmp_path):
    """The probe would end the run if vLLM sampled from an older adapter."""
    verifier = "{name: format, pattern: '^[a-z]'}"
    sets = settings(
        base(tmp_path / "base"),
        tmp_path / "run",
        engine="vllm",
        verifier=verifier,
        problems__gold_sample=0,
        optimizer__lr=0.05,
        group_size=8,
        probe__max_gap=1e-4,
    )
    done = launch(sets, recipe=RECIPE)
    assert done.returncode == 0, done.stderr
    last = numbers(tmp_path / "run")[-1][1]
    assert last["optim/grad_norm"] > 0, "nothing was learned, so nothing was tested"
    assert last["probe/gap_max"] < 1e-4


@pytest.mark.slow
def test_all_weights_reach_vllm_at_every_version(tmp_path):
    """As above for full fine-tuning, where the head is tied to the embedding."""
    sets = smoke(base(tmp_path / "base"), tmp_path / "run", engine="vllm", probe__max_gap=1e-4)
    done = launch([*sets, "optimizer.lr=0.05"])
    assert done.returncode == 0, done.stderr
    last = numbers(tmp_path / "run")[-1][1]
    assert last["optim/grad_norm"] > 0, "nothing was learned, so nothing was tested"
