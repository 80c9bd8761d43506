import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recipes.errors import RecipeError
from recipes.loading.recipe_tree import find, load
from recipes.loading.validate import validate
from recipes.slots.registry import function_of
from rollout.data.pairs import PairsSpec, load_pairs
from tests.support.builders import problem
from tests.support.runs import ROOT, environment
from trainer.recipe.kinds import RewardRecipe
from trainer.reward_models.host import RewardOutput
from trainer.reward_models.training import REPORT, _report
from trainer.verifiers import verifier

PAIRS = "tests/data/preferences.jsonl"


def test_the_shipped_recipe_reads():
    recipe = validate(RewardRecipe, load(find("smoke/reward")))
    assert recipe.pairs.path == PAIRS and recipe.heads == 8


def test_a_misspelt_setting_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'batch_size'"):
        validate(RewardRecipe, load(find("smoke/reward"), ["batch_sise=3"]))


def test_accuracy_counts_ties_as_halves_and_the_scale_is_that_of_both_sides():
    outputs = [3.0, 1.0, 2.0, 5.0, 1.0, 1.0, 4.0, 0.0]  # four chosen, then four rejected
    report = _report([RewardOutput(reward=r, embedding=None) for r in outputs], left_out=2, seed=0)
    assert report.accuracy.value == (1 + 0.5 + 0 + 1) / 4
    assert report.accuracy.problems == 4
    assert report.mean == np.mean(outputs) and report.std == np.std(outputs, ddof=1)
    assert "on 4 held-out pairs, chance is 0.5; 2 pairs are too long" in report.words


@pytest.mark.slow
def test_a_trained_reward_model_prefers_what_people_prefer(tmp_path):
    """Trained, reported, and asked again through the verifier that loads what was saved."""
    folder = tmp_path / "reward"
    done = reward_command(f"output={folder}")
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / REPORT).read_text())
    assert report["pairs"] == 59 and report["left_out"] == 0
    assert report["interval"][0] > 0.5 < report["accuracy"]  # above chance, and not by luck
    assert f"accuracy {report['accuracy']:.3f}" in done.stdout
    assert not (folder / "trainer").exists()

    bound = verifier.bind(
        {
            "name": "reward_model",
            "local": {"path": str(folder)},
            "mean": report["mean"],
            "std": report["std"],
        }
    )
    held_out = load_pairs(PairsSpec(path=str(ROOT / PAIRS), held_out=0.3)).held_out
    assert len(held_out) == 59
    score = function_of(bound)

    async def ask(pair):
        of = problem(prompt=pair.prompt[0].content)
        chosen, rejected = await asyncio.gather(score(of, pair.chosen), score(of, pair.rejected))
        return chosen.reward - rejected.reward, chosen.correct, rejected.correct

    async def ask_all():
        return await asyncio.gather(*map(ask, held_out))

    found = asyncio.run(ask_all())
    assert np.mean([gap > 0 for gap, _, _ in found]) == pytest.approx(report["accuracy"], abs=0.02)
    assert np.mean([right for _, right, _ in found]) > 0.8
    assert np.mean([wrong for _, _, wrong in found]) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("max_length=20", "194 pairs have more than 20 tokens"),
        ("pairs.path=gone.jsonl", "gone.jsonl"),
        ("model=gone/model/folder", "the model gone/model/folder cannot be loaded"),
    ],
)
def test_a_users_mistake_is_a_message(tmp_path, override, words):
    done = reward_command(f"output={tmp_path / 'reward'}", override)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def reward_command(*overrides: str) -> subprocess.CompletedProcess[str]:
    sets = [word for override in overrides for word in ("--set", override)]
    return subprocess.run(
        [sys.executable, "-m", "trainer", "reward", "smoke/reward", *sets],
        cwd=Path(ROOT),
        env=environment(HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
