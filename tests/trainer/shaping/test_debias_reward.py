import pytest
import torch

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.advantages.grpo import grpo
from trainer.advantages.rloo import rloo
from trainer.shaping import shaping
from trainer.shaping.debias_reward import debias_reward

RATES = {"false_positive": 0.1, "false_negative": 0.2}
EXAMPLES = [RATES, {**RATES, "form": "forward"}]


def test_backward_rescales_the_verdict():
    shaped = debias_reward(batch([[1, 0]]), **RATES).tolist()
    assert shaped == pytest.approx([0.9 / 0.7, -0.1 / 0.7])


def test_backward_is_right_on_average_for_right_and_for_wrong_answers():
    passed, failed = debias_reward(batch([[1, 0]]), **RATES).tolist()
    assert 0.8 * passed + 0.2 * failed == pytest.approx(1)  # a right answer
    assert 0.1 * passed + 0.9 * failed == pytest.approx(0, abs=1e-6)  # a wrong one


def test_forward_is_an_affine_image_of_the_truth():
    passed, failed = debias_reward(batch([[1, 0]]), **RATES, form="forward").tolist()
    assert (passed, failed) == pytest.approx((0.2, -0.8))
    assert 0.8 * passed + 0.2 * failed == pytest.approx(0, abs=1e-6)
    assert 0.1 * passed + 0.9 * failed == pytest.approx(-0.7)


@pytest.mark.parametrize("form", ["backward", "forward"])
def test_a_groups_standardisation_cancels_it(form):
    of = batch([[1, 0, 0], [1, 1, 0]])
    shaped = of.replace(rewards=debias_reward(of, **RATES, form=form))
    torch.testing.assert_close(grpo(shaped), grpo(of), rtol=1e-4, atol=1e-4)


def test_a_groups_mean_turns_forward_into_nothing_and_backward_into_a_rate():
    of = batch([[1, 0, 0], [1, 1, 0]])
    forward = of.replace(rewards=debias_reward(of, **RATES, form="forward"))
    backward = of.replace(rewards=debias_reward(of, **RATES))
    torch.testing.assert_close(rloo(forward), rloo(of))
    torch.testing.assert_close(rloo(backward), rloo(of) / 0.7)


def test_a_verifier_worse_than_chance_is_refused():
    with pytest.raises(RecipeError, match=r"false_negative: error rates 0\.6 and 0\.5 add up"):
        shaping.bind({"name": "debias_reward", "false_positive": 0.6, "false_negative": 0.5})


def test_a_verifier_that_tells_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"error rates 0\.5 and 0\.5 add up to 1 or more"):
        shaping.bind({"name": "debias_reward", "false_positive": 0.5, "false_negative": 0.5})
