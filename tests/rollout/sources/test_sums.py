import re

import numpy as np
import pytest

from recipes.errors import RecipeError
from recipes.slots.registry import build
from rollout.data.train_test_split import is_held_out
from rollout.sources import source
from rollout.sources.sums import _lazy, _worked

EXAMPLES = [{"size": 4}, {"size": 4, "demonstrations": True}]

PROMPT = re.compile(r"(\d{2,3})\+(\d{2,3})=")


def load(size=200, **options):
    return build(source.bind({"name": "sums", "size": size, **options}))


class Sure:
    """Random numbers under which no step slips."""

    def random(self):
        return 0.99


def test_a_row_is_a_sum_and_its_answer():
    assert load()
    for row in load():
        left, right = PROMPT.fullmatch(row.prompt).groups()
        assert len(left) == len(right)
        assert row.answer == str(int(left) + int(right))
        assert row.columns == {}


def test_prompts_differ_and_both_lengths_occur():
    prompts = [row.prompt for row in load()]
    assert len(set(prompts)) == 200
    assert 60 < sum(len(prompt) == 6 for prompt in prompts) < 140


def test_held_out_prompts_are_never_trained_on():
    train = {row.prompt for row in load(3000)}
    heldout = {row.prompt for row in load(400, split="heldout")}
    assert not train & heldout
    assert all(map(is_held_out, heldout))
    share = np.mean([is_held_out(f"{a}+{b}=") for a in range(10, 100) for b in range(10, 100)])
    assert share == pytest.approx(1 / 8, abs=0.02)


def test_the_split_is_the_same_on_every_machine():
    held = [n for n in range(10, 100) if is_held_out(f"{n}+50=")]
    assert held == [12, 15, 17, 24, 45, 46, 49, 55, 76, 79, 82, 95]


def test_seeds_and_splits_are_reproducible():
    assert load(5) == load(5)
    assert load(5) != load(5, seed=1)
    assert [row.id for row in load(2, seed=3, split="heldout")] == [
        "sums-heldout-3-0",
        "sums-heldout-3-1",
    ]


def test_a_worked_demonstration_goes_digit_by_digit():
    assert _worked(Sure(), 347, 586) == "7+6=13,4+8+1=13,3+5+1=9#933"
    assert _worked(Sure(), 79, 61) == "9+1=10,7+6+1=14#140"
    assert _worked(Sure(), 20, 41) == "0+1=1,2+4=6#61"


def test_a_slip_is_carried_on_to_the_result():
    rng = np.random.default_rng(0)
    demonstrations = [_worked(rng, 347, 586) for _ in range(2000)]
    slipped = [text for text in demonstrations if not text.endswith("#933")]
    assert len(slipped) / 2000 == pytest.approx(1 - 0.97**3, abs=0.03)
    for text in slipped:
        steps, _, result = text.partition("#")
        totals = [int(step.split("=")[1]) for step in steps.split(",")]
        carry = totals[-1] // 10
        digits = "".join(str(total % 10) for total in reversed(totals))
        assert result == f"{carry or ''}{digits}"


def test_a_lazy_demonstration_guesses_each_digit():
    rng = np.random.default_rng(0)
    guesses = [_lazy(rng, 933) for _ in range(2000)]
    assert all(re.fullmatch(r"#[1-9]\d\d", guess) for guess in guesses)
    right = np.mean([[a == b for a, b in zip(g[1:], "933", strict=True)] for g in guesses])
    assert right == pytest.approx(0.37, abs=0.03)


def test_demonstrations_mix_both_ways():
    solutions = [row.columns["solution"] for row in load(2000, demonstrations=True)]
    worked = np.mean(["=" in solution for solution in solutions])
    assert worked == pytest.approx(0.4, abs=0.04)
    assert all("=" in row.columns["solution"] for row in load(
        20, demonstrations=True, worked_frac=1.0))  # fmt: skip


def test_more_problems_than_there_are_is_refused():
    with pytest.raises(RecipeError, match="size"):
        load(100_000)
