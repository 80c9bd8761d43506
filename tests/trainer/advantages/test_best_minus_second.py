import pytest

from tests.support.builders import batch
from trainer.advantages.best_minus_second import best_minus_second

EXAMPLES = [{}, {"std_normalize": False}]


def test_only_the_best_learns_and_by_its_lead():
    of = batch([[0.2, 0.9, 0.5]], [[1, 1, 1]])
    values = best_minus_second(of, std_normalize=False)[of.action_mask].tolist()
    assert values == pytest.approx([0, 0.4, 0])


def test_in_standard_deviations():
    of = batch([[1, 0, 0, 0]], [[1, 1, 1, 1]])
    assert best_minus_second(of)[of.action_mask].tolist() == pytest.approx([2, 0, 0, 0], abs=1e-4)


def test_two_that_share_the_best_reward_cancel():
    assert not best_minus_second(batch([[1, 1, 0]])).any()


def test_group_of_one_gets_zero():
    assert not best_minus_second(batch([[1], [5]])).any()
