import math

import pytest
import torch

from recipes.errors import RecipeError
from trainer.reward_models.decomposition import (
    Decomposition,
    decompose,
    fit_taste,
    read_decomposition,
)

AXES = torch.eye(4)


def differences(rows):
    """Chosen and rejected embeddings with these differences."""
    z = torch.tensor(rows, dtype=torch.float32)
    rejected = torch.arange(z.numel(), dtype=torch.float32).reshape(z.shape) / 10
    return rejected + z, rejected


def test_directions_are_those_of_the_largest_variance_around_the_mean():
    # differences (3, 1), (-3, 1), (0, 1.2), (0, 0.8): mean (0, 1), variances 18/3 and 0.08/3
    found = decompose(*differences([[3, 1], [-3, 1], [0, 1.2], [0, 0.8]]), heads=2)
    assert found.directions.abs() == pytest.approx(torch.tensor([[1.0, 0], [0, 1]]), abs=1e-5)
    assert found.variances.tolist() == pytest.approx([6, 0.08 / 3], rel=1e-4)


def test_there_are_no_more_directions_than_the_pairs_span():
    found = decompose(*differences([[1, 0, 0], [-1, 0, 0], [2, 0, 0]]), heads=3)
    assert len(found.directions) == 1


def test_pairs_that_do_not_differ_are_refused():
    with pytest.raises(RecipeError, match="have the same features"):
        decompose(*differences([[1.0, 2.0]]), heads=2)


def test_every_direction_is_two_heads_of_opposite_sign():
    taken = Decomposition(directions=AXES[:2], variances=torch.ones(2))
    scores = taken.scores(torch.tensor([[5.0, 7.0, 9.0, 11.0]]))
    assert scores.tolist() == [[5, 7, -5, -7]]


def test_weights_follow_the_users_losses():
    # one pair: head 0 scores 1 and -1, head 1 scores 0 and 0; sd of (1, -1) is sqrt(2)
    taste = fit_taste(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]]), temperature=1.0)
    loss = math.log1p(math.exp(-2 / math.sqrt(2))), math.log(2)
    first = math.exp(-loss[0]) / (math.exp(-loss[0]) + math.exp(-loss[1]))
    assert taste.weights.tolist() == pytest.approx([first, 1 - first])
    assert taste.stds.tolist() == pytest.approx([math.sqrt(2), 1.0])
    assert taste.rewards(torch.tensor([[1.0, 0.0]])).tolist() == pytest.approx([first / 2**0.5])


def test_a_low_temperature_trusts_the_best_head_alone():
    chosen, rejected = torch.tensor([[1.0, 0.2]] * 3), torch.tensor([[-1.0, 0.1]] * 3)
    noisy = chosen + torch.tensor([[0.0, 0.5], [0, -0.5], [0, 0]])
    assert fit_taste(noisy, rejected, temperature=0.01).weights[0] > 0.999


def accuracy(rewards):
    chosen, rejected = rewards.chunk(2)
    return float((chosen > rejected).float().mean())


def test_heads_recover_tastes_that_one_reward_cannot_serve():
    """Users who each care for one of four properties, in one direction or the other."""
    generator = torch.Generator().manual_seed(0)

    def pairs(axis, sign, count):
        """Embeddings [count, 8] of what the user prefers and of the other."""
        a, b = torch.randn(2, count, 8, generator=generator)
        prefers = (sign * (a[:, axis] - b[:, axis]) > 0)[:, None]
        return torch.where(prefers, a, b), torch.where(prefers, b, a)

    spread = torch.tensor([4.0, 3.5, 3.0, 2.5, 0.3, 0.3, 0.3, 0.3])  # what people differ in
    users = [(axis, sign) for axis in range(4) for sign in (1, -1)]
    everybody = [tuple(s * spread for s in pairs(*user, 200)) for user in users]
    chosen, rejected = (torch.cat(side) for side in zip(*everybody, strict=True))
    decomposition = decompose(chosen, rejected, heads=4)
    single = (chosen - rejected).mean(dim=0)  # the best one reward: the mean preference
    drm, one = [], []
    for user in users:
        few = [s * spread for s in pairs(*user, 15)]
        taste = fit_taste(*(decomposition.scores(side) for side in few), temperature=1.0)
        unseen = torch.cat([s * spread for s in pairs(*user, 300)])
        drm.append(accuracy(taste.rewards(decomposition.scores(unseen))))
        one.append(accuracy(unseen @ single))
    assert sum(drm) / 8 > 0.85
    assert sum(one) / 8 < 0.6


def test_directions_are_read_back(tmp_path):
    Decomposition(directions=AXES[:2], variances=torch.tensor([2.0, 1.0])).write(tmp_path)
    found = read_decomposition(tmp_path)
    assert found.directions.equal(AXES[:2]) and found.variances.tolist() == [2, 1]
    with pytest.raises(RecipeError, match=r"no decomposition\.safetensors"):
        read_decomposition(tmp_path / "gone")
