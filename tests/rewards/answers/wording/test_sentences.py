"""What the last sentence with a number states."""

import pytest

from rewards.answers.wording.roles import Refused, Unread
from rewards.answers.wording.sentences import clause, stated


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("She has 3 apples. Then she gets 2 more. Now she has 5 apples.", "5 apples"),
        ("There are 3 + 2 = 5 apples in the box.", "5 apples"),
        ("It takes 459 / 51 = 9 minutes to blink 459 times.", "9 minutes"),
        ("She buys 40/10 = 4 packs of 10 cakes.", "4 packs"),
        ("The profit is $70,000 a year.", "$70,000"),
        ("The solutions are $x=-2$ and $x=5$.", "$x=-2$ and $x=5$"),
        ("So the minimum is $-4$, attained at $x = 2$.", "-4"),
        ("Total: 260 sheep", "260 sheep"),
        ("The rope spans **9 feet**.", "9 feet"),
        ("The lamp will burn **9** hours.", "9 hours"),
    ],
)
def test_the_number_that_is_stated(text: str, said: str) -> None:
    assert stated(text) == said


@pytest.mark.parametrize(
    "text",
    ["It is not 5.", "Is it 5?", "It may be 5.", "It is 5. But I do not know.", "1\n2\n3\n4\n5"],
)
def test_a_sentence_that_denies_or_leaves_open_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        stated(text)


@pytest.mark.parametrize(
    "text",
    [
        "See page 5.",
        "She has nearly 5.",
        "Pick multiples of 5.",
        "no number",
        "5 times 7",
        "The rope spans 9 feet.",
        "It exceeds **9**.",
        "It spans **9** times that.",
        "Nearly **9**.",
    ],
)
def test_a_number_beside_unknown_words_is_not_stated(text: str) -> None:
    with pytest.raises(Unread):
        stated(text)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("5, since 2 + 3 is.", "5"),
        ("3.14. Then", "3.14"),
        ("5 p.m.", "5 p.m."),
        ("$x = 5; y = 6$. Next", "$x = 5; y = 6$"),
        ("**5** apples\nmore", "5 apples"),
    ],
)
def test_where_a_clause_ends(text: str, first: str) -> None:
    assert clause(text) == first
