"""The benchmark's arithmetic, and both sides once on a random model."""

from pathlib import Path

import pytest

from tools.bench import generate_alone, ratios, table
from tools.bench_arms import Step, Stopwatch, Work, temper, trl
from trainer.models.tiny import make_tiny
from trainer.recipe.kinds import TinySpec


def step(cpu_s: float, tokens: float = 100) -> Step:
    return Step(cpu_s=cpu_s, wall_s=9.0, tokens=tokens, positions=2 * tokens)


def test_the_ratio_is_taken_round_by_round_between_medians() -> None:
    turns = {
        "ours": [[step(1), step(2), step(9)], [step(4), step(4), step(4)]],
        "theirs": [[step(3), step(3), step(3)], [step(6), step(10), step(1)]],
    }
    # medians 2 and 4 against 3 and 6
    assert ratios(turns, ("ours", "theirs")) == [1.5, 1.5]
    assert ratios(turns, ("theirs", "ours")) == pytest.approx([2 / 3, 2 / 3])
    assert table("training", turns, ("ours", "theirs")).row_count == 3


def test_the_stopwatch_counts_the_tokens_of_each_step_and_the_prompts() -> None:
    watch = Stopwatch([10, 20])
    watch.log(1, {"progress/tokens": 7.0})
    watch.log(2, {"progress/tokens": 12.0})
    assert [(s.tokens, s.positions) for s in watch.steps] == [(7, 17), (5, 25)]
    assert all(s.cpu_s >= 0 and s.wall_s > 0 for s in watch.steps)


def base(folder: Path) -> Path:
    make_tiny(TinySpec(hidden=32, layers=1, heads=2, kv_heads=1, intermediate=32), folder, seed=0)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TRL's imports warn
@pytest.mark.parametrize("arm", [temper, trl])
def test_an_arm_does_its_steps_and_leaves_a_model(arm, tmp_path: Path) -> None:
    work = Work(base=base(tmp_path / "base"), steps=2, lr=1e-3, seed=0)
    steps = arm(work, tmp_path)
    assert len(steps) == 2
    # 128 samples of at most 40 tokens, prompts of 8 to 10 tokens with their markers
    assert all(128 <= s.tokens <= 128 * 40 and s.positions > s.tokens for s in steps)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size > 0
    assert (tmp_path / "model" / "tokenizer.json").exists()


@pytest.mark.slow
def test_both_generators_draw_all_samples(tmp_path: Path) -> None:
    turns = generate_alone(base(tmp_path), rounds=1, steps=2)
    assert list(turns) == ["hf", "generate"]
    assert all(128 <= s.tokens <= 128 * 40 for turn in turns.values() for s in turn[0])
