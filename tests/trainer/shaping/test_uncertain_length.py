import math

import pytest
import torch

from tests.support.builders import batch
from trainer.shaping.uncertain_length import uncertain_length

EXAMPLES: list[dict[str, float]] = []  # no random batch has the components; see below


def of(rewards, base, difficulty, over):
    components = {"base": [base], "difficulty": [difficulty], "words_over": [over]}
    built = batch([rewards], [[2] * len(rewards)], components=components)
    chances = torch.where(built.action_mask, math.log(0.6), 0.0)  # u = 0.4 everywhere
    return built.replace(behavior_logprobs=chances)


def test_a_hard_problem_allows_more_words_to_an_unsure_policy():
    # 25 * 0.4 = 10 words: of 50 too many 40 are left, 4 * (1 - 40 / 500)
    assert uncertain_length(of([3.6], [4], [6], [50])).tolist() == pytest.approx([3.68])


def test_easy_problems_limitless_and_worthless_answers_keep_their_reward():
    nan = float("nan")
    samples = of([3.1, 4.0, -1.0], [4, 4, -1], [2, 4, 6], [104, nan, 500])
    assert uncertain_length(samples).tolist() == pytest.approx([3.1, 4.0, -1.0])


def test_the_score_stays_between_0_and_1():
    assert uncertain_length(of([1, 0], [1, 1], [6, 6], [-200, 900])).tolist() == [1, 0]


def test_without_a_sampled_token_it_is_sure():
    empty = batch(
        [[0.9]], [[0]], components={"base": [[1]], "difficulty": [[6]], "words_over": [[50]]}
    )
    assert uncertain_length(empty).tolist() == pytest.approx([0.9])


def test_a_step_without_any_limit_is_left_alone():
    sample = batch([[4.0]], components={"base": [[4]], "difficulty": [[4]]})
    assert uncertain_length(sample).tolist() == [4.0]
