"""Which option an answer chooses."""

import pytest

from rewards.answers.choices import chosen, gold_letter, same_choice


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        ("(C)", "C"),
        ("(c)", "C"),
        ("C.", "C"),
        ("C) 12", "C"),
        ("C: 12", "C"),
        ("Option C", "C"),
        ("the correct answer is C", "C"),
        (r"\text{C}", "C"),
        (r"\textbf{(C)}\ 12", "C"),
        ("**C**", "C"),
        ("C or D", ""),
        ("(C) or (D)", ""),
        ("CD", ""),
        ("Carbon", ""),
        ("A good start", ""),
        ("12", ""),
        ("", ""),
    ],
)
def test_the_chosen_letter(answer: str, letter: str) -> None:
    assert chosen(answer) == letter


@pytest.mark.parametrize(
    ("gold", "letter"), [("C", "C"), ("(C)", "C"), (r"\text{(C)}", "C"), ("12", ""), ("c", "")]
)
def test_the_letter_of_a_gold_answer(gold: str, letter: str) -> None:
    assert gold_letter(gold) == letter


def test_several_letters_are_chosen_in_any_order_but_all() -> None:
    assert same_choice("A,C", "C and A")
    assert same_choice("AC", "A, C")
    assert not same_choice("A,C", "A")
    assert not same_choice("A", "A, B")
