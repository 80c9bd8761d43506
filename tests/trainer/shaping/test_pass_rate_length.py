import math

import pytest

from rollout.filters.drop_uniform import drop_uniform
from rollout.types import Drop
from tests.support.builders import batch, group
from trainer.advantages.grpo import grpo
from trainer.ops.segments import seq_mean
from trainer.shaping.pass_rate_length import pass_rate_length

EXAMPLES = [{}, {"frac": 0.5, "select": "threshold"}]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_longer_right_answers_of_the_mastered_problem_get_less():
    of = batch([[1, 1, 0], [1, 0, 0]], [[2, 4, 9], [2, 4, 9]])
    # right lengths 2 and 4: mean 3, deviation 1
    shaped = pass_rate_length(of, frac=0.5, alpha=0.2).tolist()
    assert shaped == pytest.approx([1 - 0.2 * sigmoid(-1), 1 - 0.2 * sigmoid(1), 0, 1, 0, 0])


def test_a_share_of_problems_is_rounded_up():
    of = batch([[1, 1], [1, 0], [0, 0]], [[2, 4], [2, 4], [2, 4]])
    shaped = pass_rate_length(of, frac=0.34, alpha=0.2)
    # the second problem's only right answer has no spread: sigmoid(0)
    assert shaped.tolist()[2:] == pytest.approx([0.9, 0, 0, 0])


def test_a_group_all_right_has_a_signal_that_a_filter_on_verdicts_would_drop():
    """Filters come before shaping: a recipe with one chooses to lose this."""
    of = batch([[1, 1]], [[2, 4]])
    short, long = seq_mean(grpo(of.replace(rewards=pass_rate_length(of, frac=1.0))), of,
                           of.action_mask).tolist()  # fmt: skip
    assert short == -long > 0.5
    for on in ("reward", "correct"):
        assert isinstance(drop_uniform(group([1, 1], lengths=[2, 4]), on=on), Drop)


def test_equal_lengths_get_equal_rewards():
    of = batch([[1, 1, 1]], [[3, 3, 3]])
    assert pass_rate_length(of, frac=1.0, alpha=0.5).tolist() == pytest.approx([0.75] * 3)


def test_a_right_answer_stays_above_a_wrong_one_and_no_share_changes_nothing():
    of = batch([[1, 1, 0]], [[1, 6, 1]])
    shaped = pass_rate_length(of, frac=1.0, alpha=0.9)
    assert shaped.min() == shaped[2] == 0
    assert pass_rate_length(of, frac=0.0).tolist() == [1, 1, 0]


def test_a_threshold_takes_every_problem_above_it():
    of = batch([[1, 1], [1, 1], [1, 0]], [[2, 4], [2, 4], [2, 4]])
    shaped = pass_rate_length(of, frac=0.2, alpha=0.2, select="threshold").tolist()
    assert shaped[:2] == shaped[2:4]
    assert shaped[4:] == [1, 0]


def test_of_equal_pass_rates_the_problem_drawn_first():
    of = batch([[1, 1], [1, 1]], [[2, 4], [2, 4]])
    assert pass_rate_length(of, frac=0.5).tolist()[2:] == [1, 1]


def test_lengths_count_in_deviations_however_small_these_are():
    of = batch([[1, 1]], [[2, 3]])  # mean 2.5, deviation 0.5: one deviation below and above
    shaped = pass_rate_length(of, frac=1.0, alpha=0.2).tolist()
    assert shaped == pytest.approx([1 - 0.2 * sigmoid(-1), 1 - 0.2 * sigmoid(1)])
