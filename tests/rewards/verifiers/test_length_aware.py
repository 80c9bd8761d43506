import pytest

from recipes.errors import RecipeError
from rewards.verifiers import verifier
from tests.support.verifiers import broken, judge, pays


def shortened(words, difficulty, reward=4.0, **options):
    return judge(
        "length_aware",
        response="word " * words,
        columns={"rated": difficulty},
        base=pays(reward),
        difficulty="rated",
        **options,
    )


@pytest.mark.parametrize(
    ("words", "difficulty", "reward"),
    [
        (200, 6, 4.0),  # hard: 256 words are allowed
        (200, 4, 4.0),  # in between: no limit
        (200, 2, 3.168),  # easy: 1 - (200 - 96) / 500 = 0.792
        (256, 5, 4.0),
        (306, 5, 3.6),  # 1 - 50 / 500
        (9000, 4.9, 4.0),
        (9000, 5, 0.0),
    ],
)
def test_the_papers_numbers(words, difficulty, reward):
    assert shortened(words, difficulty).reward == pytest.approx(reward)


def test_components_say_what_went_in():
    components = shortened(200, 2).components
    assert components == pytest.approx(
        {"base": 4, "words": 200, "difficulty": 2, "words_over": 104, "length_score": 0.792}
    )
    assert "words_over" not in shortened(200, 4).components


@pytest.mark.parametrize("reward", [0.0, -1.0])
def test_length_does_not_change_a_reward_without_merit(reward):
    assert shortened(9000, 2, reward=reward).reward == reward


def test_only_the_thought_may_be_counted():
    said = "<think>" + "so " * 100 + "</think>" + "word " * 500
    verdict = judge(
        "length_aware", response=said, base=pays(1), hard_words=90, slope=0.01, inside="thought"
    )
    assert verdict.components["words"] == 100
    assert verdict.reward == pytest.approx(0.9)


def test_without_a_column_every_problem_is_hard():
    verdict = judge("length_aware", response="word " * 266, base=pays(1))
    assert verdict.reward == pytest.approx(0.98)


@pytest.mark.parametrize("rated", [None, "hard", True])
def test_a_row_without_its_difficulty_is_missing(rated):
    verdict = shortened(10, rated)
    assert verdict.is_missing
    assert "'rated'" in verdict.reason


def test_a_missing_base_is_missing():
    verdict = judge("length_aware", base=broken("down"))
    assert (verdict.is_missing, verdict.reason) == (True, "base: down")


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(RecipeError) as caught:
        verifier.bind({"name": "length_aware", "base": "code_tests", "easy_below": 6.0})
    assert caught.value.faults[0].path == "easy_below"
