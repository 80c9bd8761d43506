"""Trainer and engine in processes of their own: sampling overlaps training, two ranks share it."""

from pathlib import Path

import pytest

from tests.support.runs import launch, numbers, smoke
from trainer.models.tiny import make_tiny
from trainer.recipe.kinds import TinySpec

SERVED = "{name: vllm_server, launch: {max_sequences: 16}}"


def wide_base(folder: Path) -> Path:
    """As `tests.support.runs.tiny_base`, with heads as wide as vLLM's CPU attention needs them."""
    shape = TinySpec(hidden=64, layers=2, heads=2, kv_heads=1, intermediate=64, context_length=64)
    make_tiny(shape, folder, seed=0)
    return folder


@pytest.mark.slow
def test_sampling_goes_on_behind_training(tmp_path):
    base = wide_base(tmp_path / "base")
    options = smoke(
        base,
        tmp_path / "run",
        engine=SERVED,
        max_staleness=1,
        correction="{name: truncated_is, cap: 2.0}",
        steps=4,
    )
    done = launch(options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    steps = dict(numbers(tmp_path / "run"))
    assert set(steps) >= {1, 2, 3, 4}
    assert max(steps[step]["sync/staleness_max"] for step in (2, 3, 4)) > 0
    assert max(steps[step]["probe/gap_max"] for step in (1, 2, 3, 4)) < 1e-3


@pytest.mark.slow
def test_two_ranks_with_zero_train_from_one_server(tmp_path):
    base = wide_base(tmp_path / "base")
    options = smoke(base, tmp_path / "run", engine=SERVED, sharding__zero=2)
    done = launch(options, processes=2)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    steps = dict(numbers(tmp_path / "run"))
    assert steps[2]["sync/version"] == 2
    assert max(steps[step]["probe/gap_max"] for step in (1, 2)) < 1e-3
    assert max(steps[step]["correction/log_ratio_max"] for step in (1, 2)) < 1e-3
