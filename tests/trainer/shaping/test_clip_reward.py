import pytest

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.shaping import shaping
from trainer.shaping.clip_reward import clip_reward


def test_wild_scores_are_held():
    assert clip_reward(batch([[9, -9, 0.5]]), low=-1.0, high=2.0).tolist() == [2, -1, 0.5]


def test_an_empty_range_is_refused():
    with pytest.raises(RecipeError, match="low: 2 is not below high 1"):
        shaping.bind({"name": "clip_reward", "low": 2.0, "high": 1.0})
