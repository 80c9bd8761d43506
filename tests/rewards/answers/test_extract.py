"""Where the final answer of a response stands."""

import pytest

from rewards.answers.extract import after_marker, after_reasoning, extract, final_answer, last_boxed


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\fbox{7}", "7"),
        (r"\boxed {7}", "7"),
        (r"\boxed7 and more", "7"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{x = \boxed{5}}", r"x = \boxed{5}"),
        (r"\boxed{a \fbox{b} c}", r"a \fbox{b} c"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("\\boxed{\n5\n}", "5"),
        (r"\\boxed{5}", "5"),
        ("\x08oxed{5}", "5"),  # a backslash and b that were read as one character
        (r"\boxed{}", ""),
        (r"\boxed{1} and \boxed{}", ""),
        (r"\boxed{1} and \boxed{2", ""),  # cut off: the last box decides
        (r"\boxed{", ""),
        ("no box", None),
        (r"\boxedx{5}", None),
    ],
)
def test_the_last_box(text: str, content: str | None) -> None:
    assert last_boxed(text) == content


@pytest.mark.parametrize(
    ("text", "place", "answer"),
    [
        (r"#### 4 but \boxed{5}", "boxed", "5"),
        ("<answer>5</answer> The answer is 6.", "tag", "5"),
        ("<answer>4</answer> or <answer>5</answer>", "tag", "5"),
        ("so <answer>5", "tag", "5"),
        ("2 + 3\n#### 5", "mark", "5"),
        ("#### $5,000", "mark", "$5,000"),
        ("#### Step one\nThe answer is 5.", "phrase", "5"),
        ("The answer is 5.", "phrase", "5"),
        ("The final answer is: $5$", "phrase", "$5$"),
        ("**Answer:** 5", "phrase", "5"),
        ("Answer\n\n5", "phrase", "5"),
        ("The answer is 3. No, the answer is 5.", "phrase", "5"),
        ("The answer is 5, since 2 + 3 is.", "phrase", "5"),
        ("The answer is 3.14.", "phrase", "3.14"),
        ("The answer is 5 p.m.", "phrase", "5 p.m."),
        ("Option B is correct.", "phrase", "B"),
        ("Thus, **5** is the answer.", "phrase", "5"),
        ("5", "whole", "5"),
        ("$$5$$", "whole", "5"),
        ("x = 5", "whole", "x = 5"),
        ("<think>\\boxed{3}</think> 5", "whole", "5"),
    ],
)
def test_places_of_an_answer(text: str, place: str, answer: str) -> None:
    found = extract(text)
    assert (found.place, found.answer) == (place, answer)


LONG = "We count the pages that were read on each of the days. " * 8


@pytest.mark.parametrize(
    ("ending", "answer"),
    [
        ("Then there are 3 + 2 = 5 apples.", "5 apples"),
        ("So she pays 9 * $2 = $18 a day.", "$18"),
        ("Thus $f(1) = 5$.", "f(1) = 5"),
        ("The profit is $70,000.", "$70,000"),
        ("The solutions are 2 and 3.", "2 and 3"),
        ("1) first 2) second", ""),
        ("Is it 5?", ""),
        ("It may be 5 or 6, I am not sure.", ""),
        ("It is 5. But I do not know.", ""),
        ("Either 5 or 6.", ""),
    ],
)
def test_the_last_thing_said_when_nothing_marks_the_answer(ending: str, answer: str) -> None:
    found = extract(LONG + "\n\n" + ending)
    assert found.answer == answer
    assert found.place == ("last" if answer else "none")


@pytest.mark.parametrize(
    "text",
    ["", " \n ", "<answer></answer>", "####", "The answer is", "Answer:", r"\boxed{ }", "$$ $$"],
)
def test_nothing_to_find(text: str) -> None:
    assert extract(text).answer.strip("$ ") == ""


def test_a_phrase_that_denies_or_claims_gives_no_number() -> None:
    assert extract("Some claim that the answer is 5, but it is 6.").answer == ""
    assert "5" not in extract("The answer cannot be 5.").candidates


def test_a_clause_of_prose_offers_its_last_number_too() -> None:
    found = extract("The answer is that she has 5 apples.")
    assert found.candidates == ("that she has 5 apples", "5 apples")


def test_text_before_the_end_of_thinking_is_left_out() -> None:
    assert after_reasoning("<think>a</think> b") == " b"
    assert after_reasoning("<think>a</think>  ") == "a"
    assert after_reasoning("<think>a") == "", "a thought that never closes was cut off"
    assert after_reasoning("<think>a</think> b <think>c <think>d") == " b "


def test_the_answer_after_a_marker() -> None:
    assert after_marker("1#2#3\n4", "#") == "3"
    assert after_marker("no marker", "#") == ""
    assert final_answer("12+30#42", "anywhere", "#").answer == "42"
    assert final_answer("42", "anywhere", "#").candidates == ()


def test_an_option_limits_the_places() -> None:
    text = "The answer is 5."
    assert final_answer(text, "boxed", "").candidates == ()
    assert final_answer(text, "stated", "").answer == "5"
    assert final_answer("so 5", "stated", "").candidates == ()
    assert final_answer("5", "whole", "").answer == "5"


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 100_000,
        "{" * 300_000,
        "$" * 300_000,
        "the answer is " * 50_000,
        "<answer>" * 80_000,
        "#### " * 100_000,
        "1 " * 300_000,
        "a. " * 200_000,
        "**" * 200_000,
        "(" * 300_000,
        "\\boxed{" * 50_000 + "5" + "}" * 50_000,
        "x" * 1_000_000 + "\\boxed{5}",
        "\n" * 500_000,
        "answer " * 100_000,
    ],
)
def test_huge_texts_are_read_in_linear_time(text: str) -> None:
    # a quadratic reader would take hours for the longest of these
    assert extract(text).place in ("boxed", "tag", "mark", "phrase", "whole", "last", "none")
