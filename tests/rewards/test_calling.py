import asyncio

from rewards.calling import call_verifier, call_verifiers
from rewards.composition import missing_of
from rewards.types import Verdict
from tests.support.builders import problem
from tests.support.verifiers import broken, pays, raises


async def returns_a_number(asked, response):
    return 1.0


def said(verifier):
    return asyncio.run(call_verifier(verifier, problem(), "x"))


def test_a_broken_verifier_is_a_missing_verdict_with_its_reason():
    assert said(raises).reason == "KeyError: 'solution'"
    assert said(returns_a_number).reason == "the verifier returned float, no Verdict"
    assert said(pays(float("nan"))).reason == "the reward is nan"
    assert said(broken("down")).reason == "down"


def test_a_reason_holds_no_commands_for_a_terminal():
    assert said(broken("\x1b[2Jgone\nü")).reason == r"\x1b[2Jgone\nü"


def test_several_are_asked_by_name_and_none_spoils_another():
    verdicts = asyncio.run(call_verifiers({"a": pays(0.5), "b": raises}, problem(), "x"))
    assert list(verdicts) == ["a", "b"]
    assert verdicts["a"].reward == 0.5
    assert verdicts["b"].is_missing


def test_a_composed_verdict_is_too_long_where_all_that_is_missing_is():
    long, down = Verdict.missing("900 tokens", too_long=True), Verdict.missing("down")
    assert missing_of({"a": long, "b": Verdict.binary(True)}).too_long
    assert not missing_of({"a": long, "b": down}).too_long
