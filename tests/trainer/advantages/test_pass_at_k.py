import itertools
import statistics

import pytest
import torch

from tests.support.builders import batch
from trainer.advantages.grpo import grpo
from trainer.advantages.pass_at_k import pass_at_k

EXAMPLES = [{}, {"k": 1}, {"k": 2}]


def by_subsets(correct: list[bool], k: int) -> list[float]:
    """Mean over every set of k that holds the sample, standardised over all sets."""
    sets = [
        (members, float(any(correct[i] for i in members)))
        for members in itertools.combinations(range(len(correct)), k)
    ]
    scores = [score for _, score in sets]
    mean, spread = statistics.fmean(scores), statistics.pstdev(scores)
    return [
        (statistics.fmean(s for members, s in sets if i in members) - mean) / spread
        if spread
        else 0.0
        for i in range(len(correct))
    ]


def test_one_right_of_three_and_two_draws():
    # failing sets 1 of 3: mean 2/3, deviation 0.4714; right (1 - 2/3), wrong (1/2 - 2/3)
    of = batch([[1, 0, 0]], [[1, 1, 1]])
    values = pass_at_k(of, k=2)[of.action_mask].tolist()
    assert values == pytest.approx([0.7071, -0.3536, -0.3536], abs=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("correct", list(itertools.product([False, True], repeat=4)))
def test_equals_the_mean_over_all_subsets(k, correct):
    of = batch([[float(c) for c in correct]], [[1] * 4])
    values = pass_at_k(of, k=k)[of.action_mask].tolist()
    assert values == pytest.approx(by_subsets(list(correct), k), abs=1e-6)


def test_one_draw_is_grpo_with_the_populations_deviation():
    of = batch([[1, 0, 0, 1, 0]], [[1] * 5])
    ratio = (5 / 4) ** 0.5  # of the two deviations
    torch.testing.assert_close(pass_at_k(of, k=1), grpo(of, eps=1e-9) * ratio)


def test_reads_correctness_not_the_shaped_reward():
    of = batch([[1, 0, 0]], [[1, 1, 1]])
    torch.testing.assert_close(pass_at_k(of.replace(rewards=-of.rewards)), pass_at_k(of))
