import pytest

from recipes.errors import RecipeError
from tests.support.builders import batch
from trainer.shaping.think_stages import think_stages

EXAMPLES = [{"thinks": "format"}, {"thinks": "format", "alpha": 0.05, "beta": 0.1, "gamma": 1.0}]


def of(rewards, thinks, *, correct, lengths=None):
    return batch(
        [rewards], lengths and [lengths], correct=[correct], components={"thinks": [thinks]}
    )


def test_seven_of_eight_thinking_are_paid_less():
    rewards = [1, 0, 1, 1, 1, 1, 1, 2]
    correct = [True, False, True, True, True, True, True, True]
    shaped = think_stages(of(rewards, [1] * 7 + [0], correct=correct))
    # d = 2 (7/8 - 0.5) = 0.75
    assert shaped.tolist() == pytest.approx([0.25, -0.75, 0.25, 0.25, 0.25, 0.25, 0.25, 2.0])


def test_too_many_direct_answers_are_paid_less():
    shaped = think_stages(of([2, -1, 1, 2], [0, 0, 1, 0], correct=[True, False, True, True]))
    # d = 2 (3/4 - 0.5) = 0.5: 2 -> 1.5 towards 1; -1 -> -1.5 towards -2
    assert shaped.tolist() == [1.5, -1.5, 1, 1.5]


def test_without_balance_and_pull_nothing_changes():
    before = of([2, 0, 1], [0, 1, 1], correct=[True, False, True])
    assert think_stages(before, gamma=1.0).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("right", "reward", "expected"),
    [(True, 2.0, [2.04461, 2.01097, 1.94691]), (False, 0.0, [-0.04461, -0.01097, 0.05309])],
)
def test_right_answers_are_pulled_short_and_wrong_ones_long(right, reward, expected):
    sample = of([reward] * 3, [0, 0, 0] if right else [1, 1, 1], correct=[right] * 3,
                lengths=[100, 200, 400])  # fmt: skip
    shaped = think_stages(sample, alpha=0.05, beta=0.05, gamma=1.0)
    assert shaped.tolist() == pytest.approx(expected, abs=1e-5)


def test_lengths_are_compared_within_a_class_only():
    mixed = of([1, 0], [1, 1], correct=[True, False], lengths=[10, 500])
    assert think_stages(mixed, alpha=1.0, beta=1.0, gamma=1.0).tolist() == [1, 0]


def test_a_sample_without_a_mode_is_not_balanced():
    nan = float("nan")
    shaped = think_stages(of([1, 1, 7], [1, 1, nan], correct=[True] * 3))
    assert shaped.tolist() == [0, 0, 7]  # both of the two known think: d = 1


def test_it_asks_for_its_component():
    with pytest.raises(RecipeError):
        think_stages(batch([[1, 0]]))
