import pytest

from tests.support.verifiers import broken, judge, pays, raises

NAMED = {"maths": pays(0.25, answer="7", components={"style": 0.5}), "code": pays(1.0)}


def test_the_row_says_who_judges_it():
    maths, code = (judge("by_row", row=row, named=NAMED) for row in ("maths", "code"))
    assert (maths.reward, maths.answer) == (0.25, "7")
    assert maths.components == {"maths": 0.25, "maths/style": 0.5}
    assert (code.reward, code.components) == (1.0, {"code": 1.0})


def test_rows_without_a_name_have_a_verifier_of_their_own():
    assert judge("by_row", named=NAMED, otherwise=pays(0.75)).reward == 0.75
    assert judge("by_row", named=NAMED).is_missing


def test_an_unknown_name_is_missing_and_never_another_verifiers_business():
    verdict = judge("by_row", row="mahts", named=NAMED, otherwise=pays(1.0))
    assert verdict.is_missing
    assert verdict.reason == "no verifier called 'mahts'"


@pytest.mark.parametrize("component", [broken("out of order"), raises])
def test_a_verifier_without_a_verdict_gives_none(component):
    assert judge("by_row", row="code", named={"code": component}).is_missing
