import math

import numpy as np
import pytest

from trainer.controllers.entropy_law import EntropyLaw, entropy_law

EXAMPLES = [{}]


def observed(pairs):
    law = EntropyLaw()
    for entropy, reward in pairs:
        law.observe({"policy/entropy": entropy, "reward/correct": reward})
    return law


def test_two_steps_give_the_line_through_them():
    # e^H = 1 and 2: R = 0.7 and 0.5
    law = observed([(0.0, 0.7), (math.log(2), 0.5)])
    assert law.coefficients == pytest.approx((0.2, 0.9))
    assert law.value(0) == pytest.approx(0.7)


def test_equals_least_squares_over_all_steps():
    rng = np.random.default_rng(0)
    entropies = rng.uniform(0.1, 1.5, 30)
    rewards = 0.9 - 0.15 * np.exp(entropies) + 0.02 * rng.normal(size=30)
    slope, intercept = np.polyfit(np.exp(entropies), rewards, 1)
    law = observed(zip(entropies.tolist(), rewards.tolist(), strict=True))
    assert law.coefficients == pytest.approx((-slope, intercept))


def test_without_a_change_of_entropy_there_is_no_fit():
    law = observed([(0.5, 0.1), (0.5, 0.3)])
    assert law.coefficients is None
    assert law.value(0) == entropy_law().value(0) == 1.0
