"""Settings of a paper that are easy to lose: updates per step, what dynamic sampling compares."""

import pytest

from recipes.loading.recipe_tree import PACKAGE, load

UPDATES = {  # of one step's samples
    "bapo": 4, "chi2": 8, "cispo": 16, "clip_cov": 8, "dapo": 16, "gmpo": 8, "gspo": 4,
    "kl_cov": 8, "nft": 16, "ppo": 4, "sapo": 4, "top_entropy": 16, "vapo": 16,
}  # fmt: skip


@pytest.mark.parametrize("preset", UPDATES)
def test_a_preset_whose_point_is_a_clip_makes_the_papers_updates(preset: str):
    assert load(PACKAGE / "algorithms" / f"{preset}.yaml").tree["minibatches"] == UPDATES[preset]


@pytest.mark.parametrize("preset", ["clip_cov", "dapo", "kl_cov", "nft", "top_entropy"])
def test_dynamic_sampling_compares_accuracies(preset: str):
    filters = load(PACKAGE / "algorithms" / f"{preset}.yaml").tree["filters"]
    assert filters == [{"name": "drop_uniform", "on": "correct"}]


def test_dapos_length_penalty_fits_rewards_of_0_and_1():
    [shaping] = load(PACKAGE / "algorithms" / "dapo.yaml").tree["shaping"]
    assert shaping["factor"] == 0.5
