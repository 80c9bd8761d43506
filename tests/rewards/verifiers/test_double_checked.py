import asyncio

import pytest

from rewards.verifiers import verifier
from tests.support.builders import problem
from tests.support.verifiers import broken, judge, pays


def said(first, second, **options):
    always = {"negatives": 1.0, "positives": 1.0}
    return judge("double_checked", first=first, second=second, **{**always, **options})


def test_an_overturned_verdict_is_that_of_the_second():
    verdict = said(pays(0, answer="7"), pays(1, answer="7.0", reason="equal"))
    assert (verdict.reward, verdict.correct, verdict.answer) == (1, True, "7.0")
    assert verdict.reason == "overturned: equal"
    assert verdict.components == {
        "first": 0, "first_correct": 0, "second": 1, "overturned": 1, "repaired": 1,
    }  # fmt: skip


def test_without_repair_the_first_counts():
    verdict = said(pays(0), pays(1), repair=False)
    assert not verdict.correct
    assert (verdict.components["overturned"], verdict.components["repaired"]) == (1, 0)


def test_a_confirmed_verdict_stays():
    verdict = said(pays(0.5), pays(1))
    assert verdict.reward == 0.5
    assert (verdict.components["overturned"], verdict.components["repaired"]) == (0, 0)


@pytest.mark.parametrize(
    ("first", "shares", "asked"),
    [
        (1, {"positives": 0.0}, False), (0, {"negatives": 0.0}, False),
        (1, {"negatives": 0.0}, True), (0, {"positives": 0.0}, True),
    ],
)  # fmt: skip
def test_each_kind_has_its_share(first, shares, asked):
    assert ("overturned" in said(pays(first), pays(1), **shares).components) is asked


def test_no_first_verdict_is_missing_and_no_second_is_not_a_check():
    assert said(broken("down"), pays(1)).reason == "first: down"
    verdict = said(pays(0), broken())
    assert (verdict.is_missing, verdict.components) == (False, {"first": 0, "first_correct": 0})


def drawn(seed, problems=400):
    function = verifier.get("double_checked").function

    async def all_of_them():
        return [
            await function(
                problem(f"p{i}"), "x", first=pays(0), second=pays(0), negatives=0.25, seed=seed
            )
            for i in range(problems)
        ]

    return ["overturned" in verdict.components for verdict in asyncio.run(all_of_them())]


def test_the_draw_is_seeded_and_near_its_share():
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert 70 < sum(drawn(0)) < 130  # 100 expected, standard deviation 8.7


def test_odd_characters_are_drawn_too():
    assert not judge("double_checked", response="\ud800", first=pays(0), second=pays(0)).is_missing
