import pytest

from recipes.errors import RecipeError
from rewards.verifiers import verifier
from tests.support.verifiers import broken, judge, pays


def place(tests, style, words, **options):
    levels = {"tests": [0.5, 1.0], "style": [0.3], "words": [100, 200]}
    return judge(
        "ranked",
        components={"tests": pays(tests), "style": pays(style), "words": pays(words)},
        levels=levels,
        lower_is_better=["words"],
        **options,
    )


@pytest.mark.parametrize(
    ("tests", "style", "words", "reward"),
    [
        # levels 3, 2, 3: the largest number is 2 1 2 in mixed radix, 17
        (1.0, 0.3, 50, 17 / 17),
        (1.0, 0.3, 150, 16 / 17),
        (1.0, 0.2, 50, 14 / 17),
        (0.5, 0.9, 50, 11 / 17),
        (0.4, 0.9, 50, 5 / 17),
        (0.0, 0.0, 200, 0.0),
    ],
)
def test_the_place_in_the_order(tests, style, words, reward):
    assert place(tests, style, words).reward == pytest.approx(reward)


def test_no_later_factor_outweighs_an_earlier_one():
    assert place(1.0, 0.0, 500).reward > place(0.99, 1.0, 0).reward


def test_the_scale_of_a_factor_does_not_matter_beyond_its_bounds():
    assert place(1.0, 100.0, 150).reward == place(1.0, 0.3, 150).reward


def test_components_are_logged_uncut():
    assert place(0.7, 0.2, 130).components == {"tests": 0.7, "style": 0.2, "words": 130}


def test_without_levels_a_component_is_1_or_less():
    assert judge("ranked", components={"a": pays(0.99), "b": pays(1)}).reward == pytest.approx(
        1 / 3
    )


def test_a_missing_component_has_no_place():
    assert judge("ranked", components={"a": pays(1), "b": broken()}).is_missing


@pytest.mark.parametrize("bounds", [[], [1.0, 0.5], [1.0, 1.0]])
def test_bounds_must_rise(bounds):
    with pytest.raises(RecipeError) as caught:
        verifier.bind(
            {"name": "ranked", "components": {"a": "code_tests"}, "levels": {"a": bounds}}
        )
    assert caught.value.faults[0].path == "levels.a"
