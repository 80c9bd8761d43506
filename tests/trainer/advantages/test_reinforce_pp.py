import statistics

import pytest

from tests.support.builders import batch
from trainer.advantages.reinforce_pp import reinforce_pp

EXAMPLES = [{}, {"with_baseline": True, "gamma": 0.9}]


def test_four_tokens_are_whitened_over_the_step():
    of = batch([[1, 0]], [[1, 3]])
    # mean 0.25, variance with Bessel 0.25
    assert reinforce_pp(of)[of.action_mask].tolist() == pytest.approx([1.5, -0.5, -0.5, -0.5])


def test_with_baseline_the_groups_level_is_taken_off_first():
    rewards, lengths = [[5, 4], [1, 0]], [[2, 1], [1, 1]]
    of = batch(rewards, lengths)
    raw = [0.5, 0.5, -0.5, 0.5, -0.5]
    mean, spread = statistics.fmean(raw), statistics.stdev(raw)
    expected = [(value - mean) / spread for value in raw]
    values = reinforce_pp(of, with_baseline=True)[of.action_mask].tolist()
    assert values == pytest.approx(expected, rel=1e-4)


def test_a_step_of_equal_rewards_gets_zero():
    assert not reinforce_pp(batch([[1, 1], [1, 1]])).any()
