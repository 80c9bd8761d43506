"""What the words beside a number do to it."""

import pytest

from rewards.answers.wording.roles import (
    Refused,
    Unread,
    check_condition,
    check_introduction,
    check_label,
    states_a_number,
)


@pytest.mark.parametrize(
    "text",
    [
        "", "the answer is", "So the final answer is", "x is", "there are", "exactly",
        "the number of red balls is", "a total of", "the answer to the question is", "Therefore",
    ],
)  # fmt: skip
def test_an_introduction_of_known_words_leaves_a_number_as_it_is(text: str) -> None:
    check_introduction(text)


@pytest.mark.parametrize(
    "text",
    ["multiples of", "perpendicular to", "room of", "the smallest", "nearly", "grader", "x",
     "some claim that the answer is", "the reference answer is", "if", "\u4e0d\u662f", "lim"],
)  # fmt: skip
def test_an_unknown_word_before_a_number_makes_it_unread(text: str) -> None:
    with pytest.raises(Unread):
        check_introduction(text)


@pytest.mark.parametrize("text", ["not", "twice", "half of", "it isn't", "at least", "maybe"])
def test_words_that_deny_leave_open_or_change_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        check_introduction(text)


@pytest.mark.parametrize(
    "text",
    [
        "apples", "duck eggs", "left-handed people", "more", "more than Jane", "in total",
        "students in the class", "ways to choose the two", "of the cards", "a week",
        "boys and girls", "as the only solution", "clownfish", "left over",
    ],
)  # fmt: skip
def test_what_is_counted_is_any_plural_and_may_be_described(text: str) -> None:
    check_label(text)


@pytest.mark.parametrize(
    "text",
    ["apple", "off", "is a factor", "choose", "below zero", "less", "in the hole", "or so",
     "more than ten", "apples or so", "upwards", "thereabouts", "\u4e2a", "jabłka"],
)  # fmt: skip
def test_any_other_word_after_a_number_makes_it_unread(text: str) -> None:
    with pytest.raises(Unread):
        check_label(text)


def test_the_name_of_one_thing_need_not_be_a_plural() -> None:
    check_label("way", one=True)
    with pytest.raises(Unread):
        check_label("off")


def test_after_a_unit_more_may_follow() -> None:
    check_label("long", counted=True)
    check_label("from home", counted=True)
    with pytest.raises(Unread):
        check_label("from home")


def test_a_condition_says_for_which_values_an_answer_holds() -> None:
    check_condition("all real x")
    check_condition("k is an integer")
    with pytest.raises(Unread):
        check_condition("even n")
    with pytest.raises(Refused):
        check_condition("x is not an integer")


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("She pays", True),
        ("so the total is", True),
        ("Tom has", True),
        ("it took him", True),
        ("a profit of", True),
        ("comes to", True),
        ("", True),
        ("multiples of", False),
        ("she needs nearly", False),
        ("page", False),
        ("blink", False),
    ],
)
def test_a_sentence_states_a_number_after_a_known_verb(text: str, states: bool) -> None:
    assert states_a_number(text) is states
