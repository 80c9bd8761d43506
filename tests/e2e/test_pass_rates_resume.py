"""A run whose sampler and filter follow pass rates goes on after a kill as if nothing had been."""

from pathlib import Path

import pytest

from tests.runs import launch, numbers, smoke, tiny_base

HALVING = "{name: linear, start: 1e-3, end: 5e-4, steps: 2}"


def run(base: Path, output: Path, sampler: str, *, steps: int, resume: bool = False) -> None:
    options = smoke(
        base,
        output,
        steps=steps,
        sampler=sampler,
        filters="[deduplicate, {name: pass_rate_band, low: 0.0, closed: low}]",
        selections="[{name: max_variance, keep: 2}]",
        optimizer__lr=HALVING,
        problems__source__size=12,
        limits__max_refills=20,
    )
    done = launch(options, resume=resume)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_resumed_run_is_the_same_and_its_ledger_and_controls_are_told(tmp_path):
    base = tiny_base(tmp_path / "base")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(base, whole, "difficulty_band", steps=4)
    run(base, parts, "difficulty_band", steps=2)
    run(base, parts, "difficulty_band", steps=4, resume=True)
    assert numbers(parts) == numbers(whole)
    logged = dict(numbers(whole))
    assert [logged[step]["control/optimizer.lr"] for step in (1, 2, 3, 4)] == pytest.approx(
        [1e-3, 0.75e-3, 0.5e-3, 0.5e-3]
    )
    assert logged[4]["ledger/trained"] == 8  # two of each of the four groups
    assert logged[4]["ledger/down_sampled"] > 0
