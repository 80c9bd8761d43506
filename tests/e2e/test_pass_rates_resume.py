"""A run whose sampler and filter follow pass rates goes on after a kill as if nothing had been."""

from pathlib import Path

import pytest

from tests.support.runs import launch, numbers, smoke, tiny_base

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


@pytest.mark.slow
def test_masks_choose_among_the_tokens_of_the_samples_that_selections_left(tmp_path):
    options = smoke(
        tiny_base(tmp_path / "base"),
        tmp_path / "run",
        selections="[{name: advantage_variance, frac: 0.25}]",
        masks="[{name: high_product, frac: 0.5}]",
        filters="[drop_uniform]",
    )
    done = launch(options)
    assert done.returncode == 0, done.stderr
    for _, metrics in numbers(tmp_path / "run"):  # among all samples it would be nearly 1
        assert 0.5 <= metrics["mask/kept_frac"] < 0.6
