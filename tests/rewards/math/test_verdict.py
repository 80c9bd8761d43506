"""The whole way from a response to a verdict, in this process."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.math.verdict import gold_text, judge, same_text


def verdict(gold: str, response: str) -> bool:
    return bool(judge(gold, response, "anywhere", "")["correct"])


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("5", "5"),
        (r"\boxed{5}", "5"),
        ("work\n#### 5", "5"),
        ("$5$", "$5$"),
        (r"so \boxed{1}, then \boxed{2}", "2"),
    ],
)
def test_the_gold_answer_itself(gold: str, text: str) -> None:
    assert gold_text(gold) == text


@pytest.mark.parametrize(
    "gold",
    [
        r"\left( 3, \frac{\pi}{2} \right)", r"\text{Evelyn}", "2516_8", r"3 \pm 2 \sqrt{2}",
        r"\$32,\!348", r"864 \mbox{ inches}^2", "$(1,8,19), (2,7,13), (4,5,7)$", "$t(0,4]$",
        r"\begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}", r"(0,9) \cup (9,36)",
        r"11,\! 111,\! 111,\! 100", r"y = 2x + 3", "033", r"x \in [-2,7]", r"\text{(C)}",
        r"\left\lfloor\log _{2} n\right\rfloor+1", "27,54,108,135", "-2,1",
    ],
)  # fmt: skip
def test_gold_answers_of_public_kinds_verify_themselves(gold: str) -> None:
    assert verdict(gold, rf"The answer is \boxed{{{gold}}}.")


def test_spelling_ignores_spacing_and_styling_but_nothing_else() -> None:
    assert same_text(r"\left(1, 2\right)", "(1,2)")
    assert same_text(r"\dfrac{1}{2}", r"\frac{1}{2}")
    assert not same_text("X", "x")
    assert not same_text("12", "1 2")
    assert not same_text("", "")


def test_a_verdict_says_where_the_answer_stood_and_what_it_was() -> None:
    found = judge("5", r"First 4, then \boxed{6}.", "anywhere", "")
    assert found == {"correct": False, "answer": "6", "reason": "boxed: differs"}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789xyei+-*/^_=<>(){}[]|\\,.;:!%$ \n\u221a\u00bdaAp", max_size=40))
def test_no_answer_breaks_the_judge(text: str) -> None:
    found = judge("7", rf"\boxed{{{text}}}", "anywhere", "")
    assert isinstance(found["correct"], bool)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**4))
def test_a_fraction_equals_itself_in_every_notation(above: int, below: int) -> None:
    gold = rf"\frac{{{above}}}{{{below}}}"
    for text in (
        f"{above}/{below}",
        rf"\dfrac{{{2 * above}}}{{{2 * below}}}",
        f"x = {above}/{below}",
    ):
        assert verdict(gold, rf"\boxed{{{text}}}")
    assert not verdict(gold, rf"\boxed{{{above + 1}/{below}}}")


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "The answer is twice 5."),
        ("5", "Half of the answer is 5."),
        ("5", "Nobody gets 5."),
        ("5", r"\boxed{5} or 6"),
        ("5", r"\boxed{5\text{ dollars over}}"),
        ("5", r"\boxed{\text{a possible value is }5}"),
        ("7", "Answer: 7 (but see below)"),
        ("4", r"$x \neq \boxed{4}$"),
        ("4", r"$(\boxed{4})^2$"),
        ("4", r"\boxed{4} times 3"),
        ("5", r"$\boxed{5}^2$"),
        ("5", r"twice $\boxed{5}$"),
        ("5", r"\boxed{5 \text{ more than } x}"),
        ("5", r"\boxed{x \text{ such that } x = 5}"),
        ("11", r"\boxed{\text{multiples of }11}"),
        ("11", r"\boxed{11\text{ times }x}"),
        ("2", r"\boxed{\operatorname{ln}(2)}"),
        ("50", r"\boxed{50\% \text{ off}}"),
        ("x^2+1", r"\boxed{x^2+1 \text{ is a factor}}"),
        ("y=2x+3", r"\boxed{\text{perpendicular to } y=2x+3}"),
        ("7", "\\boxed{\u4e0d\u662f7}"),
        ("7", "\\boxed{\u0644\u064a\u0633 7}"),
        ("7", "\\boxed{7\\text{ \u7684\u500d\u6570}}"),
    ],
)
def test_a_word_that_is_not_known_to_leave_a_number_alone_makes_the_answer_wrong(
    gold: str, response: str
) -> None:
    assert not verdict(gold, response)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("18", r"\boxed{18 \text{ eggs}}"),
        ("18", "So she has 18 eggs left."),
        ("5", "He pays $5 per week."),
        ("5", r"\boxed{5\text{ distinct real solutions}}"),
        ("22", r"\boxed{22 \text{ pens and pencils}}"),
        (r"\ln 2", r"\boxed{\operatorname{ln}(2)}"),
        (r"\frac12", r"\boxed{\frac12} or $0.5$"),
        ("8", r"The answer is $\boxed{8}$, not 9."),
        ("90", r"$\boxed{90}^\circ$"),
        ("5", r"- \boxed{5}"),
        ("12", r"\boxed{\text{Area of triangle }ABC = 12}"),
        ("(1,2)", r"\boxed{\text{the point }(1,2)}"),
        ("5", r"\boxed{k=5\text{, where }k\in\mathbb{Z}}"),
    ],
)
def test_words_that_are_known_to_leave_an_answer_alone_are_read(gold: str, response: str) -> None:
    assert verdict(gold, response)
