from collections import Counter

import pytest

from rewards.audit.adversarial import ATTACKS, attack
from rewards.audit.probes import FEW, Expect, probes
from rewards.math.verdict import judge
from tests.support.builders import problem

BOX = r"\boxed{{answer}}"
MANY = [problem(f"p{i}", prompt=f"{i} + 0?", answer=str(i)) for i in range(30)]


def asked(problems=MANY, **settings):
    return probes(problems, BOX, **{"sample": 10, "seed": 0, **settings})


def test_every_kind_is_asked():
    kinds = Counter(probe.kind for probe in asked())
    assert kinds["gold"] == kinds["bare"] == kinds["other"] == 10
    assert kinds["empty"] == 4 * FEW
    assert kinds["huge"] == kinds["unicode"] == 6 * FEW
    assert len(ATTACKS) * FEW - 15 <= kinds["adversarial"] <= len(ATTACKS) * FEW


def test_gold_answers_are_right_and_those_of_others_wrong():
    for probe in asked():
        if probe.kind == "gold":
            assert probe.response == rf"\boxed{{{probe.problem.answer}}}"
            assert probe.expect is Expect.CORRECT
        if probe.kind == "other":
            assert rf"\boxed{{{probe.problem.answer}}}" not in probe.response
            assert probe.expect is Expect.WRONG


def test_an_equal_answer_in_another_form_is_no_other_answer():
    same = [problem("a", answer="$1,000"), problem("b", answer="1000.0"), problem("c", answer="5")]
    others = {p.problem.id: p.response for p in asked(same, sample=0) if p.kind == "other"}
    assert others["a"] == others["b"] == r"\boxed{5}"


def test_the_same_seed_asks_the_same():
    assert asked() == asked()
    assert asked(seed=1) != asked()


def test_a_sample_of_0_takes_all_that_have_an_answer():
    some = [*MANY, problem("none", answer="")]
    gold = [p.problem.id for p in asked(some, sample=0) if p.kind == "gold"]
    assert gold == [p.id for p in MANY]


def test_without_answers_there_is_nothing_to_ask():
    assert asked([problem(answer="")]) == []


def test_an_attack_that_is_the_answer_is_left_out():
    named = Counter(p.name for p in asked([problem("x", answer="x"), problem("y", answer="7")]))
    assert "y: a free variable" in named and "x: a free variable" not in named


def test_an_attack_that_says_the_answer_by_chance_is_left_out():
    one = {p.name for p in asked([problem("a", answer="1"), problem("b", answer="7")])}
    assert "b: gives a verdict as JSON" in one and "a: gives a verdict as JSON" not in one
    assert "a: deep brackets" in one


def test_a_program_with_more_behind_it_is_no_attack():
    asked_of = asked([problem("a", answer="    return 1\n"), problem("b", answer="7")])
    named = {p.name for p in asked_of}
    assert "b: longer than it" in named and "a: longer than it" not in named


def test_an_attack_is_made_of_the_problem():
    made = attack(
        "{prompt} <think>[[{gold}]]</think> [[{wrong}]] [[{many}]]",
        gold="7",
        wrong="8",
        many="1, 7",
        prompt="3 + 4?",
        gold_response="#{answer}#",
    )
    assert made == "3 + 4? <think>#7#</think> #8# #1, 7#"


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_no_attack_is_plainly_right(name):
    made = attack(
        ATTACKS[name], gold="7", wrong="8", many="1, 7", prompt="3 + 4?", gold_response=BOX
    )
    assert not judge("7", made, "anywhere", "")["correct"]
